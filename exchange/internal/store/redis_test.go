package store

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twilio-sts/config"
	"twilio-sts/exchange/exchangetest"
)

func sentinelURL(t *testing.T) string {
	t.Helper()
	return exchangetest.NewSentinel(t, exchangetest.NewRedis(t)).URL() + "?master_name=main"
}

// clusterURL starts a cluster of one node that serves every slot.
func clusterURL(t *testing.T) string {
	t.Helper()
	server := exchangetest.NewRedis(t, "--cluster-enabled", "yes")
	single := newRedis(t, server.URL()).Store.(*Redis)
	if err := single.client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return strings.Contains(single.client.ClusterInfo(t.Context()).Val(), "cluster_state:ok") })
	return server.URL() + "?addr=" + server.Addr
}

// do sends a command of an operator's.
func (s *tested) do(t *testing.T, args ...any) {
	t.Helper()
	if err := s.Store.(*Redis).client.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestRedisFull(t *testing.T) {
	t.Parallel()
	s := newRedis(t, exchangetest.NewRedis(t).URL())
	s.fill(t)
	s.do(t, "config", "set", "maxmemory", "1")
	wantFull(t, s)
	if _, err := s.Allow(t.Context(), "a", perMinute); !errors.Is(err, ErrFull) {
		t.Errorf("Allow: %v, want %v", err, ErrFull)
	}
}

// TestRedisRestarts has counts and marks outlive a server that was killed, and
// nothing be answered in between.
func TestRedisRestarts(t *testing.T) {
	t.Parallel()
	server := exchangetest.NewRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	s := newRedis(t, server.URL())
	s.fill(t)
	server.Kill()
	ctx := t.Context()
	_, useErr := s.Use(ctx, key("old"), 1, s.now().Add(time.Hour))
	_, markedErr := s.Marked(ctx, key("old mark"))
	_, allowErr := s.Allow(ctx, "a", perMinute)
	_, peekErr := s.Peek(ctx, "a", perMinute)
	for _, err := range []error{useErr, markedErr, allowErr, peekErr, s.Mark(ctx, []Mark{{key("a"), s.now(), s.now().Add(time.Hour)}})} {
		if err == nil {
			t.Error("a server that is gone answered")
		}
	}
	server.Restart(t)
	await(t, func() bool { _, err := s.Marked(ctx, key("old mark")); return err == nil })
	if s.use(t, "old", 1, s.now().Add(time.Hour)) {
		t.Error("a count was forgotten")
	}
	if got := s.marked(t, "old mark")[0]; got != 0 {
		t.Errorf("marked at %v, want 0", got)
	}
}

// await waits until a server that was started has found its feet.
func await(t *testing.T, found func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !found() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it does not come")
		}
	}
}

// TestRedisHangs has a server that takes connections and never answers be an
// error.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newRedis(t, "redis://"+l.Addr().String())
	if _, err := s.Use(t.Context(), key("a"), 1, s.now().Add(time.Hour)); err == nil {
		t.Error("a use was counted")
	}
}

// TestRedisTLS has a server be believed for its certificate alone.
func TestRedisTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile, roots := writeCertificate(t)
	server := exchangetest.NewTLSRedis(t, certFile, keyFile)
	for _, test := range []struct {
		name, url string
		roots     *x509.CertPool
		want      string // in the error; "" for none
	}{
		{"trusted", server.URL(), roots, ""},
		{"not trusted", server.URL(), nil, "certificate signed by unknown authority"},
		{"another host's", strings.Replace(server.URL(), "127.0.0.1", "localhost", 1), roots, "not valid for any names, but wanted to match localhost"},
		{"without TLS", strings.Replace(server.URL(), "rediss", "redis", 1), roots, "redis: "},
	} {
		r, err := NewRedis(test.url, RedisOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler), RootCAs: test.roots})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Peek(t.Context(), "a", perMinute)
		if text := fmt.Sprint(err); (err == nil) != (test.want == "") || test.want != "" && !strings.Contains(text, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// writeCertificate writes a certificate for 127.0.0.1 that vouches for itself.
func writeCertificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(certFile, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, roots
}

// TestRedisKeys has nothing of a rate's key be stored as it is, and everything
// stored expire.
func TestRedisKeys(t *testing.T) {
	t.Parallel()
	s := newRedis(t, exchangetest.NewRedis(t).URL())
	s.fill(t)
	if _, err := s.Allow(t.Context(), "ip 198.51.100.7", perMinute); err != nil {
		t.Fatal(err)
	}
	client := s.Store.(*Redis).client
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 3 {
		t.Fatalf("keys %q, %v", keys, err)
	}
	for _, k := range keys {
		if ttl := client.PTTL(t.Context(), k).Val(); ttl <= 0 || !strings.HasPrefix(k, "twilio-sts:") || strings.Contains(k, "198.51") {
			t.Errorf("%s lives %v", k, ttl)
		}
	}
}

// TestRedisEviction has a server that may forget be warned of, once.
func TestRedisEviction(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		options []string
		want    string
	}{
		{"no bound", []string{"--maxmemory-policy", "allkeys-lru"}, ""},
		{"noeviction", []string{"--maxmemory", "100mb", "--maxmemory-policy", "noeviction"}, ""},
		{"volatile-lru", []string{"--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"},
			`level=WARN msg="Redis may forget replay counts and logout marks when its memory is full: set maxmemory-policy noeviction" maxmemory_policy=volatile-lru` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := exchangetest.NewRedis(t, test.options...)
			var log bytes.Buffer
			r, err := NewRedis(server.URL(), RedisOptions{Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
				ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey {
						return slog.Attr{}
					}
					return a
				},
			}))})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for range 2 {
				if _, err := r.Peek(t.Context(), "a", perMinute); err != nil {
					t.Fatal(err)
				}
				server.Kill()
				server.Restart(t)
				await(t, func() bool { _, err := r.Peek(t.Context(), "a", perMinute); return err == nil })
			}
			if got := log.String(); got != test.want {
				t.Errorf("log\n got %q\nwant %q", got, test.want)
			}
		})
	}
}

func BenchmarkRedis(b *testing.B) {
	r, err := NewRedis(exchangetest.NewRedis(b).URL(), RedisOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	ctx, rate := b.Context(), config.Rate{Count: 1000, Per: time.Second}
	b.Run("Allow", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			if _, err := r.Allow(ctx, fmt.Sprint(i%1000), rate); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Use", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			if _, err := r.Use(ctx, key(fmt.Sprint(i)), 1, time.Now().Add(time.Hour)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
