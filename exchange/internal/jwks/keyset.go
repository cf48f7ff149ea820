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
	waitingMax     = 256             // requests that wait for one at a time
	negativeTTL    = time.Minute
	negativeMax    = 256
	rediscoverAt   = 3 // times in a row that the keys' URL was not found
)

// Errors of Find.
var (
	// ErrUnavailable says that there are no keys to check with: none were ever
	// fetched, or the last ones are too old.
	ErrUnavailable = errors.New("the issuer's keys are not available")
	// ErrUnknown says that the issuer has no key of that name.
	ErrUnknown = errors.New("the issuer has no such key")
	// ErrOverloaded says that too many requests wait for keys already.
	ErrOverloaded = errors.New("too many requests wait for keys")
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

// A KeySet holds one issuer's keys, by kid and algorithm. It is safe for concurrent use.
type KeySet struct {
	o        Options
	snapshot atomic.Pointer[snapshot]
	wake     chan struct{} // asks the loop for a fetch now

	mu       sync.Mutex
	flight   chan struct{}        // closed when the fetch asked for has ended; nil: none
	running  bool                 // the loop runs
	stop     context.CancelFunc   // ends the loop
	stopped  chan struct{}        // closed when the loop has ended
	waiting  int                  // requests that wait for a fetch
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
	keys    map[keyID]*Key
	byAlg   map[string][]*Key
	fetched time.Time // zero for static keys, which do not age
}

// New returns a key set. Static keys are there at once; others come after
// Start.
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

func newSnapshot(keys map[keyID]*Key, fetched time.Time) *snapshot {
	s := &snapshot{keys: keys, byAlg: map[string][]*Key{}, fetched: fetched}
	for id, k := range keys {
		s.byAlg[id.alg] = append(s.byAlg[id.alg], k)
	}
	return s
}

// Find returns the key that made a token's signature, if anybody's did: by the
// token's kid, "" for none, and algorithm. A key that is not known may cause
// one fetch, for which the caller waits a little. The error is ErrUnavailable,
// ErrUnknown or ErrOverloaded.
func (k *KeySet) Find(ctx context.Context, kid, alg string) (*Key, error) {
	s := k.current()
	if s == nil {
		if err := k.waitForFirst(ctx); err != nil {
			return nil, err
		}
		if s = k.current(); s == nil {
			return nil, ErrUnavailable
		}
	}
	if found := s.find(kid, alg); found != nil {
		return found, nil
	}
	if err := k.refreshFor(ctx, kid); err != nil {
		return nil, err
	}
	if s = k.current(); s == nil {
		return nil, ErrUnavailable
	}
	if found := s.find(kid, alg); found != nil {
		return found, nil
	}
	return nil, ErrUnknown
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
func (s *snapshot) find(kid, alg string) *Key {
	if kid != "" {
		return s.keys[keyID{kid, alg}]
	}
	if keys := s.byAlg[alg]; len(keys) == 1 {
		return keys[0]
	}
	return nil
}

// waitForFirst waits a little for a fetch that is on its way when there are no
// keys at all.
func (k *KeySet) waitForFirst(ctx context.Context) error {
	k.mu.Lock()
	flight := k.flight
	k.mu.Unlock()
	if flight == nil {
		return nil
	}
	_, err := k.wait(ctx, flight)
	return err
}

// refreshFor has the keys fetched for the sake of an unknown kid, at most once
// in unknownEvery, and not for one that a fetch just now did not bring, nor for
// one that is known with another algorithm. The error is ErrOverloaded.
func (k *KeySet) refreshFor(ctx context.Context, kid string) error {
	if kid == "" || k.o.Static != nil {
		return nil
	}
	// A fetch that was on its way already may have been answered before the key
	// was published, so the next one counts.
	for range 2 {
		if s := k.current(); s == nil || s.hasKid(kid) {
			return nil
		}
		flight, joined := k.flightFor(kid)
		if flight == nil {
			return nil
		}
		if landed, err := k.wait(ctx, flight); !landed {
			return err
		}
		if !joined {
			break
		}
	}
	if s := k.current(); s == nil || !s.hasKid(kid) {
		k.remember(kid)
	}
	return nil
}

// flightFor returns the fetch that may bring kid: the one that is on its way,
// or a new one where that is allowed, or nil.
func (k *KeySet) flightFor(kid string) (flight chan struct{}, joined bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.o.Now()
	if until, ok := k.negative[kid]; ok && now.Before(until) {
		return nil, false
	}
	if k.flight != nil {
		return k.flight, true
	}
	if !k.running || !k.bucket.allow(now) {
		return nil, false
	}
	k.flight = make(chan struct{})
	select {
	case k.wake <- struct{}{}:
	default:
	}
	return k.flight, false
}

// wait waits a little for a fetch to land. So many may wait at a time: each
// holds a request, and the provider may hang.
func (k *KeySet) wait(ctx context.Context, flight chan struct{}) (landed bool, err error) {
	k.mu.Lock()
	if k.waiting == waitingMax {
		k.mu.Unlock()
		return false, ErrOverloaded
	}
	k.waiting++
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.waiting--
		k.mu.Unlock()
	}()
	select {
	case <-flight:
		return true, nil
	case <-ctx.Done():
	case <-k.o.After(unknownWait):
	}
	return false, nil
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

// Start keeps the keys fresh until ctx ends, or Stop. It does not block, and
// from then on Find waits for the first keys. Where that is so already, it does
// nothing.
func (k *KeySet) Start(ctx context.Context) {
	if k.o.Static != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running { // the loop's own fields are one loop's
		return
	}
	ctx, k.stop = context.WithCancel(ctx)
	k.running, k.stopped, k.flight = true, make(chan struct{}), make(chan struct{})
	go k.run(ctx, k.stopped)
}

// Stop ends what Start began. The keys stay, and age.
func (k *KeySet) Stop() {
	k.mu.Lock()
	stop, stopped := k.stop, k.stopped
	k.mu.Unlock()
	if stop != nil {
		stop()
		<-stopped
	}
}

// run keeps the keys fresh until ctx ends, and closes stopped.
func (k *KeySet) run(ctx context.Context, stopped chan struct{}) {
	defer close(stopped)
	defer k.o.Client.CloseIdleConnections()
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
			defer k.mu.Unlock()
			k.running = false
			if k.flight != nil { // somebody asked just now
				close(k.flight)
				k.flight = nil
			}
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
	if s := k.snapshot.Load(); s != nil {
		st.Fetched = s.fetched
	}
	if s := k.current(); s != nil {
		st.Keys = len(s.keys)
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
