package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"twilio-sts/config"
)

// ErrFull is of a store that has no room for another count or mark.
var ErrFull = errors.New("the store is full")

// A Store keeps counts, marks and rates. It is safe for concurrent use. Errors
// mean that it could not answer, ErrFull among them, and tell no key.
type Store interface {
	// Use counts a use of key and reports whether it is among the first max.
	// The count lives until expires, or a little longer; a use that comes later
	// than its count could live is not among the first.
	Use(ctx context.Context, key [sha256.Size]byte, max int, expires time.Time) (ok bool, err error)

	// Mark sets marks, all or none. Of two marks with one key the later At and
	// the later Expires hold. At must not be the zero time.
	Mark(ctx context.Context, marks []Mark) error

	// Marked returns At of the mark of each key, the zero time where there is
	// none.
	Marked(ctx context.Context, keys ...[sha256.Size]byte) ([]time.Time, error)

	// Allow takes one event from key's rate and returns 0, or takes nothing and
	// returns how long to wait for the next. A rate is spread evenly, with a
	// burst of one period's worth (the generic cell rate algorithm). The zero
	// Rate allows everything.
	//
	// A store that runs short of room may forget a rate, the one that was asked
	// for longest ago first. That gives its key one more burst, and it takes so
	// many keys within one period that their owner had no need of it.
	Allow(ctx context.Context, key string, rate config.Rate) (wait time.Duration, err error)

	// Peek returns what Allow would and takes nothing.
	Peek(ctx context.Context, key string, rate config.Rate) (wait time.Duration, err error)

	Close() error
}

// A Mark says that something happened to what Key names.
type Mark struct {
	Key         [sha256.Size]byte
	At, Expires time.Time
}

// grace is how much longer than asked for counts and marks are kept: replicas'
// clocks differ, and a token that expires while a request is served is still
// that request's.
const grace = time.Minute

// interval is the time between two events of rate.
func interval(rate config.Rate) time.Duration { return max(rate.Per/time.Duration(rate.Count), 1) }
