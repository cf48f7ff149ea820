package jwks_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twilio-sts/exchange/exchangetest"
	"twilio-sts/exchange/internal/jwks"
)

// A rig is a key set with its provider, its clock and its log.
type rig struct {
	idp   *exchangetest.IdP
	clock *exchangetest.Clock
	set   *jwks.KeySet
	log   *exchangetest.Log
}

var (
	start = time.Unix(1_780_000_000, 0)
	text  = []byte("header.payload")
)

// newRig returns a running key set; the provider may be ill from the start.
func newRig(t *testing.T, answer http.HandlerFunc, keys ...*exchangetest.Key) *rig {
	t.Helper()
	return newRigWith(t, func(*jwks.Options) {}, answer, keys...)
}

// newRigWith is newRig with other options.
func newRigWith(t *testing.T, change func(*jwks.Options), answer http.HandlerFunc, keys ...*exchangetest.Key) *rig {
	t.Helper()
	r := &rig{idp: exchangetest.NewIdP(t, keys...), clock: exchangetest.NewClock(start), log: &exchangetest.Log{}}
	r.idp.Answer(answer)
	o := jwks.Options{
		Algorithms: exchangetest.Algorithms(),
		Discover:   func(context.Context) (string, error) { return r.idp.URL + "/jwks", nil },
		Client:     jwks.NewClient(nil, nil),
		Now:        r.clock.Now,
		After:      r.clock.After,
		Log:        slog.New(slog.NewTextHandler(r.log, nil)),
	}
	change(&o)
	var err error
	r.set, err = jwks.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.set.Start(context.Background())
	t.Cleanup(r.set.Stop)
	return r
}

// settled waits until the loop has fetched and sleeps, and returns for how
// long.
func (r *rig) settled(t *testing.T) time.Duration { t.Helper(); return r.clock.AwaitTimer(t) }

// pass lets time pass until the next fetch, and waits for it.
func (r *rig) pass(t *testing.T, d time.Duration) {
	t.Helper()
	r.settled(t)
	n := r.idp.Fetches()
	r.clock.Advance(d)
	r.idp.AwaitFetch(t, n+1)
	r.settled(t)
}

func (r *rig) verify(k *exchangetest.Key) error {
	found, err := r.set.Find(context.Background(), k.ID, k.Algorithm)
	if err != nil {
		return err
	}
	return check(found, k)
}

var errSignature = errors.New("the signature is not the key's")

// check has a key check a signature that k makes.
func check(found *jwks.Key, k *exchangetest.Key) error {
	if !found.Verify("", text, k.Signature(string(text), 32)) {
		return errSignature
	}
	return nil
}

func key(t testing.TB, id string) *exchangetest.Key { return exchangetest.NewKey(t, "ES256", id) }

func want(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// K1: a key published a moment ago is found with one fetch.
func TestRotation(t *testing.T) {
	old, fresh := key(t, "old"), key(t, "fresh")
	r := newRig(t, nil, old)
	r.settled(t)
	want(t, r.verify(old), nil)
	r.idp.Publish(old, fresh)
	want(t, r.verify(fresh), nil)
	want(t, r.verify(old), nil)
	if n := r.idp.Fetches(); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

// K2: what strangers make up causes two fetches, and then one in half a minute.
func TestUnknownKeysAreBounded(t *testing.T) {
	good := key(t, "good")
	r := newRig(t, nil, good)
	r.settled(t)
	for i := range 1000 {
		junk := key(t, fmt.Sprintf("junk%d", i))
		want(t, r.verify(junk), jwks.ErrUnknown)
		r.clock.Advance(10 * time.Millisecond)
	}
	if n := r.idp.Fetches() - 1; n != 2 {
		t.Errorf("1000 unknown keys in 10 s caused %d fetches", n)
	}
	r.clock.Advance(30 * time.Second)
	want(t, r.verify(key(t, "another")), jwks.ErrUnknown)
	want(t, r.verify(key(t, "another")), jwks.ErrUnknown) // remembered
	if n := r.idp.Fetches() - 1; n != 3 {
		t.Errorf("half a minute later: %d fetches", n)
	}
}

// Bad signatures by known kids cause none at all.
func TestBadSignaturesFetchNothing(t *testing.T) {
	good := key(t, "good")
	r := newRig(t, nil, good)
	r.settled(t)
	for range 1000 {
		want(t, r.verify(key(t, "good")), errSignature)
	}
	if n := r.idp.Fetches(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// K3, K4, K7, K8, K9: whatever becomes of the provider, known keys stay good
// for a day, nothing it writes is told, and then nothing is accepted.
func TestBadDays(t *testing.T) {
	elsewhere := exchangetest.NewIdP(t, key(t, "good"))
	const noJSON, noKeys = "the key set is not JSON with a list of keys", "the key set has no usable key"
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   string // the end of the status's error; before it net/http may say more
	}{
		{"down", exchangetest.Down, "the provider answered 503"},
		{"an error of its own", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "secret-upstream-text", http.StatusInternalServerError)
		}, "the provider answered 500"},
		{"gone", http.NotFound, "the provider answered 404"},
		{"an error with keys", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"keys":[%s]}`, jwkJSON(key(t, "good")))
		}, "the provider answered 403"},
		{"hangs up", func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				conn.Close()
			}
		}, "EOF"},
		{"breaks off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"keys":[`)
		}, "unexpected EOF"},
		{"large header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("secret-upstream-text", 5000))
		}, "net/http: server response headers exceeded 65536 bytes; aborted"},
		{"page", exchangetest.Text("<!doctype html><title>secret-upstream-text</title>"), noJSON},
		{"cut off", exchangetest.Text(`{"keys":[{"kty":"EC","kid":"secret-upstream-text"`), noJSON},
		{"list", exchangetest.Text(`[{"kty":"EC","kid":"secret-upstream-text"}]`), noJSON},
		{"something behind", exchangetest.Text(`{"keys":[]} secret-upstream-text`), noJSON},
		{"empty answer", exchangetest.Text(``), noJSON},
		{"empty object", exchangetest.Text(`{}`), noKeys},
		{"null", exchangetest.Text(`null`), noKeys},
		{"no keys", exchangetest.Text(`{"keys":[]}`), noKeys},
		{"error with 200", exchangetest.Text(`{"error":"secret-upstream-text"}`), noKeys},
		{"too many keys", exchangetest.Text(`{"keys":[` + strings.Repeat(`{},`, 100) + `{}]}`), "the key set has more than 100 keys"},
		{"huge", exchangetest.Huge, "the answer is larger than 256 KiB"},
		{"bomb", exchangetest.GzipBomb, "the answer is compressed"},
		{"redirect to a cloud's metadata", exchangetest.Redirect("http://169.254.169.254/latest"), "the provider answered 302"},
		{"redirect to itself", exchangetest.Redirect("/jwks"), "the provider answered 302"},
		{"redirect to keys", exchangetest.Redirect(elsewhere.URL + "/jwks"), "the provider answered 302"},
	} {
		t.Run(test.name, func(t *testing.T) {
			good := key(t, "good")
			r := newRig(t, nil, good)
			r.settled(t)
			r.idp.Answer(test.answer)
			for range 3 {
				r.pass(t, time.Hour)
			}
			want(t, r.verify(good), nil)
			if s := r.set.Status(); !strings.HasSuffix(s.Error, test.want) || !s.Ready || s.Keys != 1 {
				t.Errorf("status %+v, want error %q", s, test.want)
			}
			r.pass(t, 20*time.Hour)
			want(t, r.verify(good), nil)
			r.pass(t, time.Hour+time.Second)
			want(t, r.verify(good), jwks.ErrUnavailable)
			if strings.Contains(r.log.String(), "secret-upstream-text") {
				t.Errorf("what the provider wrote is logged: %s", r.log)
			}
			r.idp.Answer(nil)
			r.pass(t, time.Minute)
			want(t, r.verify(good), nil)
		})
	}
}

// K5: a withdrawn key is trusted for as long as the answer was fresh.
func TestWithdrawal(t *testing.T) {
	old, fresh := key(t, "old"), key(t, "fresh")
	r := newRig(t, nil, old)
	r.settled(t)
	r.idp.Publish(fresh)
	want(t, r.verify(old), nil)
	r.pass(t, 10*time.Minute)
	want(t, r.verify(old), jwks.ErrUnknown)
	want(t, r.verify(fresh), nil)
}

// K7: while the provider hangs, known keys are checked at once, and requests
// pile up nowhere.
func TestHanging(t *testing.T) {
	good := key(t, "good")
	r := newRig(t, nil, good)
	r.settled(t)
	r.idp.Answer(exchangetest.Hang)
	r.clock.Advance(time.Hour)
	r.clock.Forget()
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { _ = r.verify(key(t, "unknown")) })
	}
	want(t, r.verify(good), nil)
	r.clock.AwaitTimer(t)
	if n := runtime.NumGoroutine(); n > before+60 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	deadline := time.After(10 * time.Second)
	for waiting := true; waiting; {
		r.clock.Advance(3 * time.Second) // as long as a request waits
		select {
		case <-done:
			waiting = false
		case <-deadline:
			t.Fatal("requests still wait")
		default:
			runtime.Gosched()
		}
	}
}

// K11: a provider that is down at the start is found later, with nobody's help.
func TestDownAtStart(t *testing.T) {
	good := key(t, "good")
	r := newRig(t, exchangetest.Down, good)
	r.settled(t)
	want(t, r.verify(good), jwks.ErrUnavailable)
	if s := r.set.Status(); s.Ready || s.Error != "the provider answered 503" {
		t.Errorf("status %+v", s)
	}
	for range 5 {
		if left := r.settled(t); left > time.Minute {
			t.Errorf("the next try is in %v", left)
		}
		r.pass(t, time.Minute)
	}
	r.idp.Answer(nil)
	r.pass(t, time.Minute)
	want(t, r.verify(good), nil)
	if s := r.set.Status(); !s.Ready || s.Error != "" || !s.Fetched.Equal(r.clock.Now()) {
		t.Errorf("status %+v", s)
	}
}

// K7, K11: a provider that hangs from the start costs a request three seconds,
// and its keys are there once it answers.
func TestHangingAtStart(t *testing.T) {
	good := key(t, "good")
	begun, answer := make(chan bool), make(chan bool)
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		begun <- true
		<-answer
		fmt.Fprintf(w, `{"keys":[%s]}`, jwkJSON(good))
	})
	<-begun
	found := make(chan error)
	go func() { found <- r.verify(good) }()
	if wait := r.clock.AwaitTimer(t); wait != 3*time.Second {
		t.Errorf("it waits for %v", wait)
	}
	r.clock.Advance(3 * time.Second)
	want(t, <-found, jwks.ErrUnavailable)
	go func() { found <- r.verify(good) }()
	r.clock.AwaitTimer(t)
	answer <- true
	want(t, <-found, nil) // who still waits is served
}

// K7: an answer that never ends is given up.
func TestSlow(t *testing.T) {
	if got := jwks.NewClient(nil, nil).Timeout; got != 5*time.Second {
		t.Errorf("a fetch may take %v", got)
	}
	impatient := func(o *jwks.Options) { o.Client.Timeout = 50 * time.Millisecond }
	r := newRigWith(t, impatient, func(w http.ResponseWriter, req *http.Request) {
		for req.Context().Err() == nil {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			runtime.Gosched()
		}
	})
	r.settled(t)
	if s := r.set.Status(); s.Ready || s.Error == "" {
		t.Errorf("status %+v", s)
	}
}

// K11: nobody listens where the keys should be.
func TestNobodyListens(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	r := newRigWith(t, func(o *jwks.Options) { o.URI = server.URL }, nil)
	for range 3 {
		if left := r.settled(t); left > time.Minute {
			t.Errorf("the next try is in %v", left)
		}
		if s := r.set.Status(); s.Ready || !strings.HasSuffix(s.Error, "connection refused") {
			t.Errorf("status %+v", s)
		}
		r.clock.Advance(time.Minute)
	}
}

// Keys that change while the provider is away are right as soon as it is back,
// whoever asked for them meanwhile.
func TestRotationDuringAnOutage(t *testing.T) {
	old, fresh := key(t, "old"), key(t, "fresh")
	r := newRig(t, nil, old)
	r.settled(t)
	r.idp.Answer(exchangetest.Down)
	want(t, r.verify(fresh), jwks.ErrUnknown)
	want(t, r.verify(old), nil)
	r.idp.Publish(fresh)
	r.idp.Answer(nil)
	r.pass(t, time.Minute)
	want(t, r.verify(fresh), nil)
	want(t, r.verify(old), jwks.ErrUnknown)
}

// K2: nor do strangers wear out a provider that is ill.
func TestUnknownKeysDuringAnOutage(t *testing.T) {
	good := key(t, "good")
	r := newRig(t, nil, good)
	r.settled(t)
	r.idp.Answer(exchangetest.Down)
	for i := range 1000 {
		_, err := r.set.Find(context.Background(), fmt.Sprint("junk", i), "ES256")
		want(t, err, jwks.ErrUnknown)
	}
	if n := r.idp.Fetches() - 1; n != 2 {
		t.Errorf("1000 unknown keys caused %d fetches", n)
	}
	want(t, r.verify(good), nil)
}

// Where the keys were found once they are looked for when discovery fails.
func TestDiscoveryFailsLater(t *testing.T) {
	good := key(t, "good")
	idp := exchangetest.NewIdP(t, good)
	var calls atomic.Int32
	r := newRigWith(t, func(o *jwks.Options) {
		o.Discover = func(context.Context) (string, error) {
			if calls.Add(1) > 1 {
				return "", errors.New("no discovery today")
			}
			return idp.URL + "/jwks", nil
		}
	}, nil)
	for i := range 50 {
		r.settled(t)
		r.clock.Advance(time.Hour)
		idp.AwaitFetch(t, i+2)
	}
	r.settled(t)
	want(t, r.verify(good), nil)
	if n := calls.Load(); n != 3 || !strings.Contains(r.log.String(), "no discovery today") {
		t.Errorf("%d discoveries in two days; %s", n, r.log)
	}
}

// K12: a kid with another key is taken over at the next refresh.
func TestReusedKid(t *testing.T) {
	old, fresh := key(t, "k"), key(t, "k")
	r := newRig(t, nil, old)
	r.settled(t)
	r.idp.Publish(fresh)
	want(t, r.verify(fresh), errSignature)
	r.pass(t, 10*time.Minute)
	want(t, r.verify(fresh), nil)
	want(t, r.verify(old), errSignature)
}

func TestFreshness(t *testing.T) {
	for _, test := range []struct {
		name, header, value string
		least, most         time.Duration
	}{
		{"nothing said", "X", "", 7 * time.Minute, 9 * time.Minute},
		{"half an hour", "Cache-Control", "public, max-age=1800", 21 * time.Minute, 27 * time.Minute},
		{"a second", "Cache-Control", "max-age=1", 3 * time.Minute, 5 * time.Minute},
		{"a year", "Cache-Control", "Max-Age=31536000", 43 * time.Minute, 53 * time.Minute},
		{"by date", "Expires", start.Add(30 * time.Minute).UTC().Format(http.TimeFormat), 21 * time.Minute, 27 * time.Minute},
		{"rubbish", "Cache-Control", "max-age=soon", 7 * time.Minute, 9 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			good := key(t, "good")
			r := newRig(t, exchangetest.Down, good)
			r.settled(t)
			r.idp.Header(test.header, test.value)
			r.idp.Answer(nil)
			r.clock.Advance(time.Second)
			r.idp.AwaitFetch(t, 2)
			if left := r.settled(t); left < test.least || left > test.most {
				t.Errorf("the next fetch is in %v, want %v to %v", left, test.least, test.most)
			}
		})
	}
}

// TestNotModified keeps keys for another while when the provider says so.
func TestNotModified(t *testing.T) {
	good := key(t, "good")
	r := newRig(t, nil, good)
	r.settled(t)
	r.idp.Header("Etag", `"v1"`)
	r.pass(t, 10*time.Minute)
	r.idp.Answer(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		exchangetest.Down(w, req)
	})
	for range 30 {
		r.pass(t, time.Hour)
	}
	want(t, r.verify(good), nil)
}

// TestKeysMove looks for the key set anew when it is not where it was.
func TestKeysMove(t *testing.T) {
	good := key(t, "good")
	idp := exchangetest.NewIdP(t, good)
	clock := exchangetest.NewClock(start)
	where := make(chan string, 10)
	where <- idp.URL + "/gone"
	where <- idp.URL + "/jwks"
	set, err := jwks.New(jwks.Options{
		Algorithms: []string{"ES256"}, Discover: func(context.Context) (string, error) { return <-where, nil },
		Client: jwks.NewClient(nil, nil), Now: clock.Now, After: clock.After, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	set.Start(context.Background())
	defer set.Stop()
	for idp.Fetches() == 0 {
		clock.AwaitTimer(t)
		clock.Advance(time.Minute)
		runtime.Gosched()
	}
	clock.AwaitTimer(t)
	if s := set.Status(); !s.Ready || len(where) != 0 {
		t.Errorf("status %+v, %d places left", s, len(where))
	}
}

func TestStaticKeys(t *testing.T) {
	good := key(t, "good")
	set, err := jwks.New(jwks.Options{Algorithms: []string{"ES256"}, Now: func() time.Time { return start.AddDate(10, 0, 0) },
		Static: []byte(`{"keys":[` + jwkJSON(good) + `]}`)})
	if err != nil {
		t.Fatal(err)
	}
	set.Start(context.Background()) // nothing to do
	found, err := set.Find(context.Background(), "good", "ES256")
	if err != nil {
		t.Fatal(err)
	}
	want(t, check(found, good), nil)
	_, err = set.Find(context.Background(), "unknown", "ES256")
	want(t, err, jwks.ErrUnknown)
	if _, err := jwks.New(jwks.Options{Algorithms: []string{"ES256"}, Static: []byte(`{"keys":[]}`)}); err == nil {
		t.Error("a file without keys was taken")
	}
}

// A fetch that was answered before a key was published does not make the key
// unknown: the next one does.
func TestPublishedDuringAFetch(t *testing.T) {
	old, fresh := key(t, "old"), key(t, "fresh")
	r := newRig(t, nil, old)
	r.settled(t)
	begun, answer := make(chan bool), make(chan bool)
	r.idp.Answer(func(w http.ResponseWriter, _ *http.Request) {
		begun <- true
		<-answer
		fmt.Fprintf(w, `{"keys":[%s]}`, jwkJSON(old))
	})
	r.clock.Advance(10 * time.Minute)
	<-begun // with the keys of a moment ago
	r.idp.Publish(old, fresh)
	r.idp.Answer(nil)
	verified := make(chan error)
	go func() { verified <- r.verify(fresh) }()
	r.clock.AwaitTimer(t) // it waits for the fetch
	answer <- true
	want(t, <-verified, nil)
	if n := r.idp.Fetches(); n != 3 {
		t.Errorf("%d fetches", n)
	}
}

// A key that is known with another algorithm is no reason to ask for keys.
func TestKnownKidOfAnotherAlgorithm(t *testing.T) {
	good := key(t, "good")
	r := newRig(t, nil, good)
	r.settled(t)
	for range 10 {
		want(t, r.verify(exchangetest.NewKey(t, "EdDSA", "good")), jwks.ErrUnknown)
	}
	if n := r.idp.Fetches(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// While a provider hangs, only so many requests wait for it.
func TestWaitingIsBounded(t *testing.T) {
	good := key(t, "good")
	r := newRig(t, nil, good)
	r.settled(t)
	r.idp.Answer(exchangetest.Hang)
	ctx, cancel := context.WithCancel(context.Background())
	refused := make(chan error)
	for range 300 {
		go func() {
			_, err := r.set.Find(ctx, "unknown", "ES256")
			refused <- err
		}()
	}
	for range 300 - 256 {
		want(t, <-refused, jwks.ErrOverloaded)
	}
	want(t, r.verify(good), nil)
	cancel()
	for range 256 {
		want(t, <-refused, jwks.ErrUnknown)
	}
}

// TestWeakKeys has keys that nobody should sign with.
func TestWeakKeys(t *testing.T) {
	small := strings.Repeat("A", 100) + "AQAB"
	// What the faulty library made is a power of 65537 modulo the product of
	// the primes up to 167; a multiple of that product fills up the size.
	product := big.NewInt(1)
	for p := int64(2); p <= 167; p++ {
		if big.NewInt(p).ProbablyPrime(0) {
			product.Mul(product, big.NewInt(p))
		}
	}
	roca := new(big.Int).Exp(big.NewInt(65537), big.NewInt(12345), product)
	roca.Add(roca, new(big.Int).Mul(product, new(big.Int).Lsh(big.NewInt(1), 2048-uint(product.BitLen()))))
	rsaJWK := func(n *big.Int) string {
		return `{"kty":"RSA","kid":"k","n":"` + base64.RawURLEncoding.EncodeToString(n.Bytes()) + `","e":"AQAB"}`
	}
	if _, err := jwks.New(jwks.Options{Algorithms: []string{"RS256"}, Static: []byte(`{"keys":[` + rsaJWK(new(big.Int).Add(roca, big.NewInt(2))) + `]}`)}); err != nil {
		t.Errorf("a modulus of %d bits was not taken: %v", roca.BitLen(), err)
	}
	for name, jwk := range map[string]string{
		"RSA of 600 bits":         `{"kty":"RSA","kid":"k","n":"` + small + `","e":"AQAB"}`,
		"RSA of 4104 bits":        `{"kty":"RSA","kid":"k","n":"` + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 513)) + `","e":"AQAB"}`,
		"RSA of a faulty library": rsaJWK(roca),
		"RSA without e":           `{"kty":"RSA","kid":"k","n":"` + small + `"}`,
		"Ed25519 of low order":    `{"kty":"OKP","crv":"Ed25519","kid":"k","x":"` + strings.Repeat("A", 43) + `"}`,
		"Ed25519 too short":       `{"kty":"OKP","crv":"Ed25519","kid":"k","x":"AAAA"}`,
		"EC off the curve":        `{"kty":"EC","crv":"P-256","kid":"k","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`,
		"EC coordinate too short": `{"kty":"EC","crv":"P-256","kid":"k","x":"AA","y":"AA"}`,
		"symmetric":               `{"kty":"oct","kid":"k","k":"AAAA"}`,
		"unknown curve":           `{"kty":"EC","crv":"secp256k1","kid":"k","x":"AA","y":"AA"}`,
		"unknown type":            `{"kty":"AKP","kid":"k"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := jwks.New(jwks.Options{Algorithms: exchangetest.Algorithms(), Static: []byte(`{"keys":[` + jwk + `]}`)}); err == nil {
				t.Error("the key was taken")
			}
		})
	}
}

// FuzzKeySet looks for a key set that crashes the parser.
func FuzzKeySet(f *testing.F) {
	for _, alg := range exchangetest.Algorithms() {
		f.Add([]byte(`{"keys":[` + jwkJSON(exchangetest.NewKey(f, alg, "k")) + `]}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := jwks.New(jwks.Options{Algorithms: exchangetest.Algorithms(), Now: time.Now, Static: append([]byte{}, data...)})
		if err != nil {
			return
		}
		for _, alg := range exchangetest.Algorithms() {
			if k, err := set.Find(context.Background(), "", alg); err == nil && k.Verify("", text, make([]byte, 64)) {
				t.Error("a signature of zeros is good")
			}
		}
	})
}

func jwkJSON(k *exchangetest.Key) string {
	b, err := json.Marshal(k.JWK())
	if err != nil {
		panic(err)
	}
	return string(b)
}
