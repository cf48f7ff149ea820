package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
	"twilio-sts/exchange/exchangetest"
)

var start = time.Unix(1_780_000_000, 0)

func key(name string) [sha256.Size]byte { return sha256.Sum256([]byte(name)) }

// A tested store lets its test make time pass.
type tested struct {
	Store
	now     func() time.Time
	advance func(d time.Duration)
}

// stores has every Store, under the name of its kind.
var stores = map[string]func(t *testing.T) *tested{
	"memory": func(t *testing.T) *tested {
		clock := exchangetest.NewClock(start)
		return &tested{NewMemory(clock.Now), clock.Now, clock.Advance}
	},
	"redis":    func(t *testing.T) *tested { return newRedis(t, exchangetest.NewRedis(t).URL()) },
	"sentinel": func(t *testing.T) *tested { return newRedis(t, sentinelURL(t)) },
	"cluster":  func(t *testing.T) *tested { return newRedis(t, clusterURL(t)) },
}

func newRedis(t *testing.T, url string) *tested {
	t.Helper()
	clock := exchangetest.NewClock(start)
	r, err := NewRedis(url, RedisOptions{Now: clock.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return &tested{r, clock.Now, func(d time.Duration) {
		clock.Advance(d)
		age(t, r, d)
	}}
}

// age makes everything in r older by d: the clock of Redis cannot be set.
func age(t *testing.T, r *Redis, d time.Duration) {
	t.Helper()
	ctx := t.Context()
	keys, err := r.client.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		ttl, err := r.client.PTTL(ctx, k).Result()
		if err != nil || ttl <= 0 {
			t.Fatalf("%s does not expire: %v, %v", k, ttl, err)
		}
		if strings.HasPrefix(k, ratePrefix) {
			text, err := r.client.Get(ctx, k).Result()
			full, perr := strconv.ParseFloat(text, 64)
			if err != nil || perr != nil {
				t.Fatal(err, perr)
			}
			r.client.Set(ctx, k, fmt.Sprintf("%.3f", full-float64(d.Microseconds())), 0)
		}
		if err := r.client.PExpire(ctx, k, ttl-d).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func eachStore(t *testing.T, run func(t *testing.T, s *tested)) {
	t.Helper()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

// use is Use of a key by its name that must be answered.
func (s *tested) use(t *testing.T, name string, max int, expires time.Time) bool {
	t.Helper()
	ok, err := s.Use(t.Context(), key(name), max, expires)
	if err != nil {
		t.Fatalf("Use: %v", err)
	}
	return ok
}

func TestUse(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *tested) {
		expires := s.now().Add(time.Hour)
		var got []bool
		for _, use := range []struct {
			name string
			max  int
		}{{"a", 1}, {"a", 1}, {"b", 3}, {"b", 3}, {"b", 3}, {"b", 3}, {"a", 2}, {"a", 2}, {"c", 0}} {
			got = append(got, s.use(t, use.name, use.max, expires))
		}
		if diff := cmp.Diff([]bool{true, false, true, true, true, false, true, false, false}, got); diff != "" {
			t.Errorf("uses (-want +got):\n%s", diff)
		}
	})
}

// TestUseExpires has a count live for its time and a minute more, and a use
// that comes later than that be no use.
func TestUseExpires(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *tested) {
		expires := s.now().Add(time.Hour)
		s.use(t, "a", 1, expires)
		s.use(t, "kept", 2, expires.Add(time.Hour))
		s.use(t, "kept", 2, expires) // the later expiry holds
		s.advance(time.Hour + grace - 5*time.Second)
		if s.use(t, "a", 1, expires) {
			t.Error("the count was gone before its time")
		}
		s.advance(10 * time.Second)
		if s.use(t, "a", 1, expires) {
			t.Error("a use after the count's life was one of the first")
		}
		if !s.use(t, "a", 1, expires.Add(time.Hour)) {
			t.Error("the count was not gone after its time")
		}
		if s.use(t, "kept", 2, expires.Add(time.Hour)) {
			t.Error("an earlier expiry made a count shorter")
		}
	})
}

// TestUseAtOnce has as many uses go through at once as there are, and no more.
func TestUseAtOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *tested) {
		for _, max := range []int{1, 7} {
			var passed atomic.Int64
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					ok, err := s.Use(t.Context(), key(fmt.Sprint(max)), max, s.now().Add(time.Hour))
					if err != nil {
						t.Error(err)
					}
					if ok {
						passed.Add(1)
					}
				})
			}
			wg.Wait()
			if passed.Load() != int64(max) {
				t.Errorf("%d of %d uses passed", passed.Load(), max)
			}
		}
	})
}

// marked returns when each of a few keys was marked, in seconds after start.
func (s *tested) marked(t *testing.T, names ...string) []float64 {
	t.Helper()
	keys := make([][sha256.Size]byte, len(names))
	for i, name := range names {
		keys[i] = key(name)
	}
	times, err := s.Marked(t.Context(), keys...)
	if err != nil {
		t.Fatalf("Marked: %v", err)
	}
	got := make([]float64, len(times))
	for i, at := range times {
		got[i] = -1
		if !at.IsZero() {
			got[i] = at.Sub(start).Seconds()
		}
	}
	return got
}

func TestMark(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *tested) {
		at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
		mark := func(marks ...Mark) {
			t.Helper()
			if err := s.Mark(t.Context(), marks); err != nil {
				t.Fatalf("Mark: %v", err)
			}
		}
		want := func(want ...float64) {
			t.Helper()
			if diff := cmp.Diff(want, s.marked(t, "a", "b", "none")); diff != "" {
				t.Errorf("marked at (-want +got):\n%s", diff)
			}
		}
		want(-1, -1, -1)
		mark()
		mark(Mark{key("a"), at(10), at(3600)}, Mark{key("b"), at(20.000000001), at(3600)})
		want(10, 20.000000001, -1)
		mark(Mark{key("a"), at(5), at(7200)}, Mark{key("b"), at(30), at(60)}) // the later of each
		want(10, 30, -1)
		mark(Mark{key("b"), at(40), at(-3600)}) // is over
		want(10, 30, -1)
		s.advance(3600*time.Second + grace - 5*time.Second)
		want(10, 30, -1)
		s.advance(10 * time.Second)
		want(10, -1, -1)
		s.advance(time.Hour)
		want(-1, -1, -1)
		if got := s.marked(t); len(got) != 0 {
			t.Errorf("no keys are marked at %v", got)
		}
	})
}

// TestAllow has rates of some an hour, beside which the time that the test
// takes is nothing, and waits in minutes.
func TestAllow(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *tested) {
		three, six := config.Rate{Count: 3, Per: time.Hour}, config.Rate{Count: 6, Per: time.Hour}
		ask := func(ask func(context.Context, string, config.Rate) (time.Duration, error), name string, rate config.Rate, want time.Duration) {
			t.Helper()
			wait, err := ask(t.Context(), name, rate)
			if err != nil || wait.Round(time.Minute) != want {
				t.Errorf("%s: wait %v, %v, want %v", name, wait, err, want)
			}
		}
		for range 3 {
			ask(s.Peek, "a", three, 0)
			ask(s.Allow, "a", three, 0)
		}
		ask(s.Peek, "a", three, 20*time.Minute)
		ask(s.Allow, "a", three, 20*time.Minute)
		ask(s.Allow, "a", three, 20*time.Minute) // refusals take nothing
		ask(s.Allow, "b", three, 0)
		ask(s.Allow, "a", config.Rate{}, 0)

		s.advance(10 * time.Minute)
		ask(s.Allow, "a", three, 10*time.Minute)
		s.advance(11 * time.Minute)
		ask(s.Allow, "a", three, 0)
		ask(s.Allow, "a", three, 19*time.Minute)

		s.advance(3 * time.Hour) // no more than a burst comes back
		for range 3 {
			ask(s.Allow, "a", three, 0)
		}
		ask(s.Allow, "a", three, 20*time.Minute)
		ask(s.Allow, "a", six, 10*time.Minute)

		// What a longer period left does not count beyond a shorter one.
		ask(s.Allow, "a", config.Rate{Count: 1, Per: time.Minute}, time.Minute)
	})
}

// TestAllowAtOnce has a burst pass at once, and no more.
func TestAllowAtOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *tested) {
		var passed atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				wait, err := s.Allow(t.Context(), "a", config.Rate{Count: 20, Per: time.Hour})
				if err != nil {
					t.Error(err)
				}
				if wait == 0 && err == nil {
					passed.Add(1)
				}
			})
		}
		wg.Wait()
		if passed.Load() != 20 {
			t.Errorf("%d of 20 passed", passed.Load())
		}
	})
}

// TestCanceled has an operation go on though nobody waits for it.
func TestCanceled(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *tested) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if ok, err := s.Use(ctx, key("a"), 1, s.now().Add(time.Hour)); !ok || err != nil {
			t.Errorf("Use: %v, %v", ok, err)
		}
		if _, err := s.Marked(ctx, key("a")); err != nil {
			t.Errorf("Marked: %v", err)
		}
		if wait, err := s.Allow(ctx, "a", config.Rate{Count: 1, Per: time.Second}); wait != 0 || err != nil {
			t.Errorf("Allow: %v, %v", wait, err)
		}
	})
}

// wantFull has a store without room refuse what is new, keep what it has, and
// say why.
func wantFull(t *testing.T, s *tested) {
	t.Helper()
	if ok, err := s.Use(t.Context(), key("new"), 1, s.now().Add(time.Hour)); ok || !errors.Is(err, ErrFull) {
		t.Errorf("Use: %v, %v, want %v", ok, err, ErrFull)
	}
	marks := []Mark{{key("old mark"), s.now().Add(time.Second), s.now().Add(time.Hour)}, {key("new"), s.now(), s.now().Add(time.Hour)}}
	if err := s.Mark(t.Context(), marks); !errors.Is(err, ErrFull) {
		t.Errorf("Mark: %v, want %v", err, ErrFull)
	}
	if s.use(t, "old", 1, s.now().Add(time.Hour)) {
		t.Error("a count was forgotten")
	}
	if diff := cmp.Diff([]float64{0, -1}, s.marked(t, "old mark", "new")); diff != "" {
		t.Errorf("marked at (-want +got):\n%s", diff)
	}
}

// fill sets what wantFull wants to find.
func (s *tested) fill(t *testing.T) {
	t.Helper()
	s.use(t, "old", 1, s.now().Add(time.Hour))
	if err := s.Mark(t.Context(), []Mark{{key("old mark"), s.now(), s.now().Add(time.Hour)}}); err != nil {
		t.Fatal(err)
	}
}
