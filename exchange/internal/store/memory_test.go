package store

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"twilio-sts/config"
	"twilio-sts/exchange/exchangetest"
)

var perMinute = config.Rate{Count: 60, Per: time.Minute}

func TestMemoryFull(t *testing.T) {
	t.Parallel()
	clock := exchangetest.NewClock(start)
	m := NewMemory(clock.Now)
	m.counts.room, m.marks.room = 1, 1
	s := &tested{m, clock.Now, clock.Advance}
	s.fill(t)
	wantFull(t, s)
	s.advance(time.Hour + grace) // and there is room again
	if !s.use(t, "new", 1, s.now().Add(time.Hour)) {
		t.Error("what has expired takes room")
	}
}

// TestMemoryWaits has waits to the nanosecond.
func TestMemoryWaits(t *testing.T) {
	t.Parallel()
	clock := exchangetest.NewClock(start)
	m := NewMemory(clock.Now)
	rate := config.Rate{Count: 20, Per: time.Second}
	for i := range 20 {
		if wait, _ := m.Allow(t.Context(), "a", rate); wait != 0 {
			t.Fatalf("event %d waits %v", i+1, wait)
		}
	}
	for _, step := range []struct{ advance, want time.Duration }{
		{0, 50 * time.Millisecond},
		{49*time.Millisecond + 999_999, 1},
		{1, 0},
		{0, 50 * time.Millisecond},
		{-time.Hour, 50 * time.Millisecond}, // a clock that is set back locks nobody out
		{time.Hour, 50 * time.Millisecond},
		{50 * time.Millisecond, 0},
	} {
		clock.Advance(step.advance)
		if wait, _ := m.Allow(t.Context(), "a", rate); wait != step.want {
			t.Errorf("after %v: wait %v, want %v", step.advance, wait, step.want)
		}
	}
}

// TestMemoryIsBounded has a million addresses and a million tokens leave a
// store that is as large as it may be and no larger.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a million of each")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	clock := exchangetest.NewClock(start)
	m := NewMemory(clock.Now)
	full := 0
	for i := range 1_000_000 {
		name := fmt.Sprintf("address %d", i)
		if wait, err := m.Allow(t.Context(), name, perMinute); wait != 0 || err != nil {
			t.Fatalf("%s: %v, %v", name, wait, err)
		}
		if _, err := m.Use(t.Context(), key(name), 1, start.Add(time.Hour)); err != nil {
			full++
		}
		if err := m.Mark(t.Context(), []Mark{{key(name), start, start.Add(time.Hour)}}); err != nil {
			full++
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	rates := 0
	for i := range m.rates {
		rates += len(m.rates[i].newer) + len(m.rates[i].older)
	}
	if rates > maxRates || rates < maxRates/4 {
		t.Errorf("%d rates are kept, at most %d should be", rates, maxRates)
	}
	if len(m.counts.entries) != maxCounts || len(m.counts.queue) != maxCounts || len(m.marks.entries) != maxMarks || full != 2_000_000-maxCounts-maxMarks {
		t.Errorf("%d counts and %d marks are kept, and %d were refused", len(m.counts.entries), len(m.marks.entries), full)
	}
	if heap := int64(after.HeapAlloc) - int64(before.HeapAlloc); heap > 100<<20 {
		t.Errorf("the heap grew by %d MiB", heap>>20)
	} else {
		t.Logf("the heap grew by %d MiB", heap>>20)
	}

	clock.Advance(time.Hour + grace)
	if _, err := m.Marked(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !use(t, m, "last", start.Add(2*time.Hour)) || len(m.counts.entries) != 1 || len(m.marks.entries) != 0 || len(m.marks.queue) != 0 {
		t.Errorf("%d counts and %d marks are kept after their time", len(m.counts.entries), len(m.marks.entries))
	}
}

func use(t *testing.T, m *Memory, name string, expires time.Time) bool {
	t.Helper()
	ok, err := m.Use(t.Context(), key(name), 1, expires)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// TestMemoryForgetsTheOldest has a rate that is asked for be kept while others
// come and go.
func TestMemoryForgetsTheOldest(t *testing.T) {
	t.Parallel()
	m := NewMemory(exchangetest.NewClock(start).Now)
	one := config.Rate{Count: 1, Per: time.Hour}
	ask := func(name string) time.Duration {
		wait, _ := m.Allow(t.Context(), name, one)
		return wait
	}
	ask("forgotten")
	ask("busy")
	for i := range 2 * maxRates {
		ask(fmt.Sprint(i))
		if i%1000 == 0 && ask("busy") == 0 {
			t.Fatalf("what is asked for was forgotten after %d others", i)
		}
	}
	if ask("forgotten") != 0 {
		t.Error("the oldest was kept")
	}
}

func BenchmarkAllow(b *testing.B) {
	keys := make([]string, 50_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("ip 198.51.%d.%d", i/256, i%256)
	}
	m := NewMemory(time.Now)
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			m.Allow(b.Context(), keys[i%len(keys)], perMinute)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			i := 0
			for pb.Next() {
				i++
				m.Allow(b.Context(), keys[i%len(keys)], perMinute)
			}
		})
	})
}

func BenchmarkUse(b *testing.B) {
	m := NewMemory(time.Now)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		m.Use(b.Context(), key(fmt.Sprint(i)), 1, time.Now().Add(-grace/2))
	}
}
