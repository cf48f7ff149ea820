package store

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"hash/maphash"
	"sync"
	"time"

	"twilio-sts/config"
)

// Bounds of a Memory. One that has reached them all takes some 85 MiB.
const (
	maxCounts = 1 << 18
	maxMarks  = 1 << 18
	maxRates  = 1 << 18
)

// Memory is the store of a single replica. It ends with the process.
type Memory struct {
	now func() time.Time

	mu     sync.Mutex
	counts expiring[int]   // of uses
	marks  expiring[int64] // At, in nanoseconds

	seed  maphash.Seed
	rates [64]rates // by hash
}

// NewMemory returns an empty Memory whose clock is now.
func NewMemory(now func() time.Time) *Memory {
	m := &Memory{now: now, seed: maphash.MakeSeed()}
	m.counts.room, m.marks.room = maxCounts, maxMarks
	for i := range m.rates {
		m.rates[i].room = maxRates / len(m.rates) / 2
	}
	return m
}

// Close implements Store and does nothing.
func (m *Memory) Close() error { return nil }

// Use implements Store.
func (m *Memory) Use(_ context.Context, key [sha256.Size]byte, limit int, expires time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, until := m.now().UnixNano(), expires.Add(grace).UnixNano()
	if until <= now {
		return false, nil
	}
	m.counts.expire(now)
	used := m.counts.entries[key].value
	if used >= limit {
		return false, nil
	}
	if !m.counts.hasRoom(key) {
		return false, ErrFull
	}
	m.counts.set(key, used+1, until)
	return true, nil
}

// Mark implements Store.
func (m *Memory) Mark(_ context.Context, marks []Mark) error {
	keys := make([][sha256.Size]byte, len(marks))
	for i, mark := range marks {
		keys[i] = mark.Key
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().UnixNano()
	m.marks.expire(now)
	if !m.marks.hasRoom(keys...) {
		return ErrFull
	}
	for _, mark := range marks {
		if until := mark.Expires.Add(grace).UnixNano(); until > now {
			m.marks.set(mark.Key, max(m.marks.entries[mark.Key].value, mark.At.UnixNano()), until)
		}
	}
	return nil
}

// Marked implements Store.
func (m *Memory) Marked(_ context.Context, keys ...[sha256.Size]byte) ([]time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.marks.expire(m.now().UnixNano())
	at := make([]time.Time, len(keys))
	for i, key := range keys {
		if e, ok := m.marks.entries[key]; ok {
			at[i] = time.Unix(0, e.value)
		}
	}
	return at, nil
}

// Allow implements Store.
func (m *Memory) Allow(_ context.Context, key string, rate config.Rate) (time.Duration, error) {
	return m.take(key, rate, 1), nil
}

// Peek implements Store.
func (m *Memory) Peek(_ context.Context, key string, rate config.Rate) (time.Duration, error) {
	return m.take(key, rate, 0), nil
}

func (m *Memory) take(key string, rate config.Rate, events int64) time.Duration {
	if rate == (config.Rate{}) {
		return 0
	}
	hash := maphash.String(m.seed, key)
	r := &m.rates[hash%uint64(len(m.rates))]
	r.mu.Lock()
	defer r.mu.Unlock()
	now := m.now().UnixNano()
	// Once all that was taken has come back, at full, a whole burst is there.
	// More than a burst is never missing, whatever a clock or another rate left.
	full := min(max(r.get(hash), now), now+int64(rate.Per))
	if wait := full + int64(interval(rate)) - now - int64(rate.Per); wait > 0 {
		return time.Duration(wait)
	}
	if events > 0 {
		r.set(hash, full+events*int64(interval(rate)))
	}
	return 0
}

// rates holds rates in two halves. When the newer is full, the older is
// forgotten and the newer takes its place: what goes was not asked for since
// the halves changed places last. Keys are hashes with a secret seed, and there
// are no pointers, so that a quarter of a million of them cost the garbage
// collector nothing. Two keys with one hash would share a rate; with this many,
// one pair among them is a matter of 1 in 500 million.
type rates struct {
	mu           sync.Mutex
	room         int // of a half
	newer, older map[uint64]int64
}

func (r *rates) get(hash uint64) int64 {
	if full, ok := r.newer[hash]; ok {
		return full
	}
	full, ok := r.older[hash]
	if ok {
		r.set(hash, full)
	}
	return full
}

func (r *rates) set(hash uint64, full int64) {
	if _, ok := r.newer[hash]; !ok && len(r.newer) >= r.room {
		r.newer, r.older = nil, r.newer
	}
	if r.newer == nil {
		r.newer = make(map[uint64]int64)
	}
	r.newer[hash] = full
}

// expiring is a map of bounded size whose entries live until their time.
type expiring[V any] struct {
	room    int
	entries map[[sha256.Size]byte]entry[V]
	queue   queue // has each entry, until its expiry or an earlier one it had
}

// An entry lives while the clock, in nanoseconds, is below until. Like rates it
// has no pointers.
type entry[V any] struct {
	value V
	until int64
}

// expire removes what does not live at now.
func (x *expiring[V]) expire(now int64) {
	for len(x.queue) > 0 && x.queue[0].until <= now {
		first := &x.queue[0]
		if e := x.entries[first.key]; e.until > now {
			first.until = e.until
			heap.Fix(&x.queue, 0)
		} else {
			delete(x.entries, first.key)
			heap.Pop(&x.queue)
		}
	}
}

// hasRoom reports whether there is room for entries with these keys.
func (x *expiring[V]) hasRoom(keys ...[sha256.Size]byte) bool {
	missing := 0
	for _, key := range keys {
		if _, ok := x.entries[key]; !ok {
			missing++
		}
	}
	return len(x.entries)+missing <= x.room
}

// set sets the entry of key, which lives at least until then.
func (x *expiring[V]) set(key [sha256.Size]byte, value V, until int64) {
	if x.entries == nil {
		x.entries = make(map[[sha256.Size]byte]entry[V])
	}
	e, ok := x.entries[key]
	if !ok {
		heap.Push(&x.queue, due{key, until})
	}
	x.entries[key] = entry[V]{value, max(until, e.until)}
}

// A queue is a heap of keys, the first to expire on top.
type queue []due

type due struct {
	key   [sha256.Size]byte
	until int64
}

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].until < q[j].until }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(due)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	*q = (*q)[:last]
	return d
}
