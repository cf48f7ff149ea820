package exchange_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/exchange"
)

// listen opens a listener on loopback.
func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// serve runs the site's Serve, with an admin listener, until the context ends.
func (s *site) serve(t testing.TB, ctx context.Context) (admin *site, served <-chan error) {
	t.Helper()
	public, operators := listen(t), listen(t)
	s.url = "http://" + public.Addr().String()
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, public, operators) }()
	return &site{url: "http://" + operators.Addr().String()}, done
}

// wantServed waits for Serve to return.
func wantServed(t testing.TB, served <-chan error) error {
	t.Helper()
	select {
	case err := <-served:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("Serve does not return")
		return nil
	}
}

// holding keeps whoever writes waiting.
type holding struct{ entered, release chan struct{} }

func newHolding() *holding { return &holding{make(chan struct{}), make(chan struct{})} }

func (h *holding) Write(p []byte) (int, error) {
	h.entered <- struct{}{}
	<-h.release
	return len(p), nil
}

// TestShutdown has a request in flight be answered after the service was told
// to stop, and everything else be over.
func TestShutdown(t *testing.T) {
	t.Parallel()
	audit := newHolding()
	s := prepareSite(t, siteConfig, func(o *exchange.Options) { o.Audit = audit })
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	admin, served := s.serve(t, ctx)
	s.awaitReady(t)
	if got, want := admin.send(t, "GET", "/healthz", nil, ""), strings.Replace(answerWith(200, `{"status":"alive"}`), "Vary: Origin\n", "", 1); got != want {
		t.Errorf("admin\n got %s\nwant %s", got, want)
	}

	inFlight := make(chan string, 1)
	go func() {
		defer close(inFlight)
		inFlight <- s.post(t, form(s.token(nil)))
	}()
	<-audit.entered
	stop()
	await(t, "closed", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	// The operators' listener is there until the end, to say why.
	if got := admin.send(t, "GET", "/readyz", nil, ""); !strings.HasPrefix(got, "503\n") || !strings.Contains(got, `{"status":"not ready",`) {
		t.Errorf("readiness while stopping: %s", got)
	}
	select {
	case err := <-served:
		t.Fatalf("Serve returned %v with a request in flight", err)
	default:
	}
	close(audit.release)
	if diff := cmp.Diff(usualAnswer, <-inFlight); diff != "" {
		t.Errorf("answer in flight (-want +got):\n%s", diff)
	}
	if err := wantServed(t, served); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// TestServeFails has what ends the service by itself.
func TestServeFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		fail func(public, admin net.Listener)
	}{
		{"public listener", func(public, _ net.Listener) { public.Close() }},
		{"admin listener", func(_, admin net.Listener) { admin.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := prepareSite(t, siteConfig, nil)
			public, admin := listen(t), listen(t)
			test.fail(public, admin)
			if err := s.Serve(t.Context(), public, admin); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Serve: %v", err)
			}
			wantClosed(t, public, admin)
		})
	}
}

func TestServeWithoutAdmin(t *testing.T) {
	t.Parallel()
	s := prepareSite(t, siteConfig, nil)
	public := listen(t)
	s.url = "http://" + public.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, public, nil) }()
	if diff := cmp.Diff(usualAnswer, s.post(t, form(s.token(nil)))); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	stop()
	if err := wantServed(t, served); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// TestHeaderLimit has the headers that the service reads: those of a token of
// 16 KiB and much else, but not more than 64 KiB and what net/http adds.
func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	s := prepareSite(t, siteConfig, nil)
	s.serve(t, t.Context())
	bearer := "Bearer " + s.tokenOfSize(t, 16<<10)
	if diff := cmp.Diff(usualAnswer, s.send(t, "POST", "/token", headers("Authorization", bearer, "Cookie", strings.Repeat("x", 40<<10)), "")); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	got := s.send(t, "POST", "/token", headers("Authorization", bearer, "Cookie", strings.Repeat("x", 60<<10)), "")
	if want := "431\nContent-Type: text/plain; charset=utf-8\n\n431 Request Header Fields Too Large"; got != want {
		t.Errorf("answer to large headers\n got %s\nwant %s", got, want)
	}
}

// A pair of files holds a certificate and its key.
type pair struct{ cert, key string }

func newPair(t *testing.T) pair {
	dir := t.TempDir()
	return pair{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
}

// newCertificate returns a certificate with a serial number, and its key.
func newCertificate(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// put writes a file and dates it, since a file system may not tell two writes
// in a row apart.
func put(t *testing.T, path string, content []byte, modified time.Time) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
}

func withTLS(files pair) string {
	return strings.Replace(siteConfig, "server:\n", "server:\n  tls: {cert_file: "+files.cert+", key_file: "+files.key+"}\n", 1)
}

// serial returns the serial number of the certificate that a new connection
// gets.
func (s *site) serial(t *testing.T, roots *x509.CertPool) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// warnings are what was logged at that level since the last call. Failed
// handshakes are said at another, when the server comes to it.
func (s *site) warnings() string {
	var b strings.Builder
	for line := range strings.Lines(s.events.Take()) {
		if strings.HasPrefix(line, `{"level":"WARN"`) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestTLS(t *testing.T) {
	t.Parallel()
	files := newPair(t)
	cert1, key1 := newCertificate(t, 1)
	cert2, key2 := newCertificate(t, 2)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert1)
	roots.AppendCertsFromPEM(cert2)
	put(t, files.cert, cert1, siteTime)
	put(t, files.key, key1, siteTime)

	s := prepareSite(t, withTLS(files), nil)
	admin, _ := s.serve(t, t.Context())
	s.url = strings.Replace(s.url, "http://", "https://", 1)
	if got := s.serial(t, roots); got != 1 {
		t.Errorf("certificate %d", got)
	}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: protocol == "HTTP/2.0"}
		t.Cleanup(transport.CloseIdleConnections)
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/token", strings.NewReader(form(s.token(nil))))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = headers("Content-Type", formType)
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := responseText(t, resp); resp.Proto != protocol || text != usualAnswer {
			t.Errorf("%s, want %s:\n%s", resp.Proto, protocol, text)
		}
	}
	if _, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	if got, want := s.sendPlain(t), "400\n\nClient sent an HTTP request to an HTTPS server.\n"; got != want {
		t.Errorf("plain HTTP\n got %q\nwant %q", got, want)
	}
	if got := admin.send(t, "GET", "/healthz", nil, ""); !strings.HasPrefix(got, "200\n") {
		t.Errorf("the admin listener has TLS: %s", got)
	}

	s.events.Take()
	later := siteTime.Add(time.Minute)
	put(t, files.cert, cert2, later)
	if got := s.serial(t, roots); got != 1 || s.warnings() != "" {
		t.Errorf("looked at the files twice in a second: certificate %d", got)
	}
	s.clock.Advance(time.Second)
	if got := s.serial(t, roots); got != 1 {
		t.Errorf("half a pair: certificate %d", got)
	}
	if got, want := s.warnings(), `{"level":"WARN","msg":"certificate not reloaded; the one before stays in use","error":"loading the certificate: tls: private key does not match public key"}`+"\n"; got != want {
		t.Errorf("events\n got %s\nwant %s", got, want)
	}
	put(t, files.key, key2, later)
	s.clock.Advance(time.Second)
	if got := s.serial(t, roots); got != 2 {
		t.Errorf("a new pair: certificate %d", got)
	}
	if err := os.Remove(files.cert); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(time.Second)
	if got := s.serial(t, roots); got != 2 {
		t.Errorf("no file: certificate %d", got)
	}
	if got, want := s.warnings(), `{"level":"WARN","msg":"certificate not reloaded; the one before stays in use","error":"looking at the certificate: stat `+files.cert+`: no such file or directory"}`+"\n"; got != want {
		t.Errorf("events\n got %s\nwant %s", got, want)
	}
	put(t, files.cert, cert1, later)
	put(t, files.key, key1, later.Add(time.Second))
	s.clock.Advance(time.Second)
	if got := s.serial(t, roots); got != 1 {
		t.Errorf("the first pair again: certificate %d", got)
	}
}

// sendPlain sends a request without TLS.
func (s *site) sendPlain(t *testing.T) string {
	t.Helper()
	plain := site{url: strings.Replace(s.url, "https://", "http://", 1)}
	return plain.sendRaw(t, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
}

func TestTLSWithoutFiles(t *testing.T) {
	t.Parallel()
	files := newPair(t)
	cert, key := newCertificate(t, 1)
	put(t, files.cert, cert, siteTime)
	put(t, files.key, key, siteTime)
	s := prepareSite(t, withTLS(files), nil)
	if err := os.Remove(files.cert); err != nil {
		t.Fatal(err)
	}
	public, admin := listen(t), listen(t)
	err := s.Serve(t.Context(), public, admin)
	if want := "looking at the certificate: stat " + files.cert + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("Serve: %v, want %s", err, want)
	}
	wantClosed(t, public, admin)
}

// wantClosed faults listeners that are still listened to.
func wantClosed(t *testing.T, listeners ...net.Listener) {
	t.Helper()
	for _, l := range listeners {
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			conn.Close()
			t.Errorf("%s is still listened to", l.Addr())
		}
	}
}
