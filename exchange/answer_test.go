package exchange

import (
	"testing"
	"time"
)

func TestRefreshIn(t *testing.T) {
	for _, test := range []struct{ ttl, want time.Duration }{
		{time.Hour, 3240 * time.Second},
		{24*time.Hour - time.Second, 77759 * time.Second}, // 86399 − 8639.9, rounded down
		{5 * time.Minute, 150 * time.Second},
		{480 * time.Second, 240 * time.Second},
		{481 * time.Second, 241 * time.Second},
		{3601 * time.Second, 3240 * time.Second}, // 3601 − 360.1
		{61 * time.Second, 30 * time.Second},
		{time.Second, 0},
	} {
		if got := refreshIn(test.ttl); got != test.want {
			t.Errorf("%v: got %v, want %v", test.ttl, got, test.want)
		}
	}
}

func TestThrottle(t *testing.T) {
	now := time.Unix(1000, 0)
	th := &throttle{now: func() time.Time { return now }, perSecond: 2}
	count := func(n int) (passed, suppressed int) {
		for range n {
			if ok, s := th.allow(); ok {
				passed++
				suppressed += s
			}
		}
		return passed, suppressed
	}
	if passed, suppressed := count(7); passed != 2 || suppressed != 0 {
		t.Errorf("first second: %d passed, %d said to be suppressed", passed, suppressed)
	}
	now = now.Add(time.Second)
	if passed, suppressed := count(1); passed != 1 || suppressed != 5 {
		t.Errorf("next second: %d passed, %d said to be suppressed", passed, suppressed)
	}
	if passed, suppressed := count(1); passed != 1 || suppressed != 0 {
		t.Errorf("counted twice: %d passed, %d said to be suppressed", passed, suppressed)
	}
}
