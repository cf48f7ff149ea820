package jwks

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The times of a key set.
const (
	softTTLDefault = 10 * time.Minute // when the provider does not say
	softTTLMin     = 5 * time.Minute
	softTTLMax     = time.Hour      // a withdrawn key is trusted no longer
	hardTTL        = 24 * time.Hour // no provider's keys outlive it
	discoveryTTL   = 24 * time.Hour
	backoffMax     = time.Minute
	unknownEvery   = 30 * time.Second // how often unknown keys may cause a fetch
	unknownBurst   = 2
	unknownWait    = 3 * time.Second // how long a request waits for such a fetch
	negativeTTL    = time.Minute
	negativeMax    = 256
	rediscoverAt   = 3 // times in a row that the keys' URL was not found
)

// Errors of Verify.
var (
	// ErrUnavailable says that there are no keys to check with: none were ever
	// fetched, or the last ones are too old.
	ErrUnavailable = errors.New("the issuer's keys are not available")
	// ErrInvalid says that no key of the issuer made the signature.
	ErrInvalid = errors.New("the signature is not valid")
)

// Options describe a key set.
type Options struct {
	Algorithms []string // accepted, in order of preference
	Static     []byte   // a key set; there is no network then
	URI        string   // of the key set; "": found by Discover
	// Discover returns the URL of the key set. Its error's text is logged.
	Discover func(ctx context.Context) (uri string, err error)
	Client   *http.Client // see NewClient
	Now      func() time.Time
	// After is time.After, or a test's.
	After func(d time.Duration) <-chan time.Time
	Log   *slog.Logger
}

// A KeySet holds one issuer's keys. It is safe for concurrent use.
type KeySet struct {
	o        Options
	snapshot atomic.Pointer[snapshot]
	wake     chan struct{} // asks the loop for a fetch now

	mu       sync.Mutex
	flight   chan struct{}        // closed when the fetch asked for has ended; nil: none
	running  bool                 // the loop runs
	bucket   bucket               // fetches that unknown keys may cause
	negative map[string]time.Time // kids that a fetch did not bring
	failure  string               // of the last fetch, "" after a success

	// Of the loop alone.
	uri        string
	discovered time.Time
	etag       string
	notFound   int // in a row
}

// A snapshot is a key set as fetched at a time.
type snapshot struct {
	keys    map[keyID]*key
	byAlg   map[string][]*key
	fetched time.Time // zero for static keys, which do not age
}

// A Signed is a token's signature and what it is of.
type Signed struct {
	Issuer    string // iss
	Algorithm string
	KeyID     string // kid; "" when the token names none
	Input     []byte // header.payload
	Signature []byte
}

// New returns a key set. Static keys are there at once; others come once Run
// runs.
func New(o Options) (*KeySet, error) {
	if o.After == nil {
		o.After = time.After
	}
	k := &KeySet{o: o, wake: make(chan struct{}, 1), uri: o.URI, negative: map[string]time.Time{}, bucket: bucket{tokens: unknownBurst}}
	if o.Static == nil {
		return k, nil
	}
	keys, _, err := parseSet(o.Static, o.Algorithms)
	if err != nil {
		return nil, err
	}
	k.snapshot.Store(newSnapshot(keys, time.Time{}))
	return k, nil
}

func newSnapshot(keys map[keyID]*key, fetched time.Time) *snapshot {
	s := &snapshot{keys: keys, byAlg: map[string][]*key{}, fetched: fetched}
	for id, k := range keys {
		s.byAlg[id.alg] = append(s.byAlg[id.alg], k)
	}
	return s
}

// Verify checks a signature. It returns nil, ErrInvalid or ErrUnavailable. A
// key that is not known may cause one fetch, for which the caller waits a
// little; a signature that a known key did not make never does.
func (k *KeySet) Verify(ctx context.Context, t *Signed) error {
	s := k.current()
	if s == nil {
		k.waitForFirst(ctx)
		if s = k.current(); s == nil {
			return ErrUnavailable
		}
	}
	found := s.find(t)
	if found == nil && k.refreshFor(ctx, t.KeyID) {
		if s = k.current(); s == nil {
			return ErrUnavailable
		}
		found = s.find(t)
	}
	if found == nil || !found.verify(t.Issuer, t.Input, t.Signature) {
		return ErrInvalid
	}
	return nil
}

// current returns the keys unless they are too old to be trusted.
func (k *KeySet) current() *snapshot {
	s := k.snapshot.Load()
	if s == nil || !s.fetched.IsZero() && k.o.Now().Sub(s.fetched) > hardTTL {
		return nil
	}
	return s
}

// find returns the key that a token names. One that names none is checked with
// the issuer's only key of its algorithm.
func (s *snapshot) find(t *Signed) *key {
	if t.KeyID != "" {
		return s.keys[keyID{t.KeyID, t.Algorithm}]
	}
	if keys := s.byAlg[t.Algorithm]; len(keys) == 1 {
		return keys[0]
	}
	return nil
}

// waitForFirst waits a little for a fetch that is on its way when there are no
// keys at all.
func (k *KeySet) waitForFirst(ctx context.Context) {
	k.mu.Lock()
	flight := k.flight
	k.mu.Unlock()
	if flight != nil {
		k.wait(ctx, flight)
	}
}

// refreshFor has the keys fetched for the sake of an unknown kid, and reports
// whether they were: at most once in unknownEvery, and not again for a kid that
// a fetch just now did not bring.
func (k *KeySet) refreshFor(ctx context.Context, kid string) bool {
	if kid == "" || k.o.Static != nil {
		return false
	}
	k.mu.Lock()
	now := k.o.Now()
	if until, ok := k.negative[kid]; ok && now.Before(until) {
		k.mu.Unlock()
		return false
	}
	flight := k.flight
	if flight == nil {
		if !k.running || !k.bucket.allow(now) {
			k.mu.Unlock()
			return false
		}
		flight = make(chan struct{})
		k.flight = flight
		select {
		case k.wake <- struct{}{}:
		default:
		}
	}
	k.mu.Unlock()
	if !k.wait(ctx, flight) {
		return false
	}
	if s := k.current(); s == nil || !s.hasKid(kid) {
		k.remember(kid)
	}
	return true
}

func (k *KeySet) wait(ctx context.Context, flight chan struct{}) bool {
	select {
	case <-flight:
		return true
	case <-ctx.Done():
	case <-k.o.After(unknownWait):
	}
	return false
}

func (s *snapshot) hasKid(kid string) bool {
	for id := range s.keys {
		if id.kid == kid {
			return true
		}
	}
	return false
}

// remember notes a kid that the provider does not have.
func (k *KeySet) remember(kid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.negative) >= negativeMax {
		clear(k.negative) // forgetting costs at most a fetch of the bucket
	}
	k.negative[kid] = k.o.Now().Add(negativeTTL)
}

// Run keeps the keys fresh until ctx ends.
func (k *KeySet) Run(ctx context.Context) {
	if k.o.Static != nil {
		return
	}
	k.mu.Lock()
	k.running = true
	k.mu.Unlock()
	failures := 0
	for {
		k.mu.Lock()
		if k.flight == nil {
			k.flight = make(chan struct{})
		}
		select {
		case <-k.wake: // this fetch is for who asked, too
		default:
		}
		k.mu.Unlock()
		ttl, err := k.fetch(ctx)
		delay := time.Duration(float64(ttl) * (0.72 + 0.16*rand.Float64())) // 80 % of the ttl, ±10 %
		failure := ""
		if err != nil {
			failures++
			failure = err.Error()
			delay = time.Duration(rand.Int64N(int64(min(backoffMax, time.Second<<min(failures-1, 6)))) + 1)
			if ctx.Err() == nil {
				k.o.Log.Warn("keys not fetched", "error", failure, "failures", failures)
			}
		} else {
			failures = 0
		}
		k.mu.Lock()
		k.failure = failure
		if err == nil {
			clear(k.negative)
		}
		close(k.flight)
		k.flight = nil
		k.mu.Unlock()
		select {
		case <-ctx.Done():
			k.mu.Lock()
			k.running = false
			k.mu.Unlock()
			return
		case <-k.wake:
		case <-k.o.After(delay):
		}
	}
}

// A Status is the state of a key set.
type Status struct {
	Ready   bool // it has had keys
	Keys    int  // usable now
	Fetched time.Time
	Error   string // of the last fetch
}

// Status returns the state of the key set.
func (k *KeySet) Status() Status {
	k.mu.Lock()
	st := Status{Ready: k.snapshot.Load() != nil, Error: k.failure}
	k.mu.Unlock()
	if s := k.current(); s != nil {
		st.Keys, st.Fetched = len(s.keys), s.fetched
	}
	return st
}

// A bucket lets unknownBurst events through and then one per unknownEvery.
type bucket struct {
	tokens float64
	last   time.Time
}

func (b *bucket) allow(now time.Time) bool {
	if !b.last.IsZero() {
		b.tokens = min(unknownBurst, b.tokens+float64(now.Sub(b.last))/float64(unknownEvery))
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
