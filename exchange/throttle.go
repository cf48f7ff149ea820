package exchange

import (
	"sync"
	"time"
)

// A throttle lets so many events through in each second of the clock and
// counts the rest.
type throttle struct {
	now       func() time.Time
	perSecond int

	mu         sync.Mutex
	second     int64
	passed     int
	suppressed int
}

// allow reports whether an event passes and, when it does, how many did not
// since the last one that did.
func (t *throttle) allow() (ok bool, suppressed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.now().Unix(); now != t.second {
		t.second, t.passed = now, 0
	}
	if t.passed == t.perSecond {
		t.suppressed++
		return false, 0
	}
	t.passed++
	suppressed, t.suppressed = t.suppressed, 0
	return true, suppressed
}
