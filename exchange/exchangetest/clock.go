package exchangetest

import (
	"sync"
	"testing"
	"time"
)

// A Clock stands still until it is told to go on.
type Clock struct {
	mu      sync.Mutex
	now     time.Time
	timers  []timer
	changed chan struct{} // closed when a timer is set
}

type timer struct {
	at time.Time
	c  chan time.Time
}

// NewClock returns a clock that shows now.
func NewClock(now time.Time) *Clock { return &Clock{now: now, changed: make(chan struct{})} }

// Now is time.Now.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After is time.After.
func (c *Clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := timer{c.now.Add(d), make(chan time.Time, 1)}
	c.timers = append(c.timers, t)
	close(c.changed)
	c.changed = make(chan struct{})
	return t.c
}

// Advance lets d pass and rings what is due.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	var left []timer
	for _, t := range c.timers {
		if t.at.After(c.now) {
			left = append(left, t)
		} else {
			t.c <- c.now
		}
	}
	c.timers = left
}

// AwaitTimer waits until a timer is set and returns how long it has to run.
// Timers that nobody waits for any more count too, so tests that need one alone
// call Forget first.
func (c *Clock) AwaitTimer(t testing.TB) time.Duration {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		c.mu.Lock()
		n, changed := len(c.timers), c.changed
		var left time.Duration
		if n > 0 {
			left = c.timers[n-1].at.Sub(c.now)
		}
		c.mu.Unlock()
		if n > 0 {
			return left
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatal("nobody set a timer")
		}
	}
}

// Forget drops all timers.
func (c *Clock) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timers = nil
}
