package exchange

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange/internal/idtoken"
	"twilio-sts/exchange/internal/store"
)

// storeRest is how long limits do without a store that did not answer, before
// one request asks it again. The others do not wait for it.
const storeRest = time.Second

// limits say who asks too often, by a configuration's rates.
type limits struct {
	*limiter
	cfg config.Limits
}

// A limiter counts for limits, whatever the configuration. Where the store does
// not answer, each replica limits by its own memory.
type limiter struct {
	store  store.Store
	memory *store.Memory
	now    func() time.Time
	log    *slog.Logger

	// When to ask the store again, in Unix nanoseconds; 0: it answers.
	askAgain atomic.Int64
}

func newLimiter(s store.Store, now func() time.Time, log *slog.Logger) *limiter {
	return &limiter{store: s, memory: store.NewMemory(now), now: now, log: log}
}

// address takes one request of a client's address, and refuses it when there
// were too many, or too many forged or malformed tokens among them.
func (l *limits) address(ctx context.Context, address string) error {
	key := addressKey(address)
	if err := tooMany(l.ask(ctx, store.Store.Allow, "ip "+key, l.cfg.PerIP), "requests from this address"); err != nil {
		return err
	}
	return tooMany(l.ask(ctx, store.Store.Peek, "failures "+key, l.cfg.FailuresPerIP), "forged or malformed tokens from this address")
}

// failed takes one of the failures of an address, where err is of a forged or
// malformed token.
func (l *limits) failed(ctx context.Context, address string, err error) {
	switch rules.ReasonOf(err) {
	case rules.BadSignature, rules.MalformedToken:
		l.ask(ctx, store.Store.Allow, "failures "+addressKey(address), l.cfg.FailuresPerIP)
	}
}

// subject takes one request of a verified token's subject.
func (l *limits) subject(ctx context.Context, token *idtoken.Token) error {
	sub, _ := token.Claims()["sub"].(string)
	return tooMany(l.ask(ctx, store.Store.Allow, "subject "+token.IssuerID()+"\x00"+sub, l.cfg.PerSubject), "requests of this subject")
}

// ask asks the store, or where that does not answer this replica's memory.
func (l *limiter) ask(ctx context.Context, ask func(store.Store, context.Context, string, config.Rate) (time.Duration, error), key string, rate config.Rate) time.Duration {
	if rate == (config.Rate{}) {
		return 0
	}
	now, again := l.now(), l.askAgain.Load()
	rested := now.Add(storeRest).UnixNano()
	if again == 0 || now.UnixNano() >= again && l.askAgain.CompareAndSwap(again, rested) {
		wait, err := ask(l.store, ctx, key, rate)
		if err == nil {
			if again != 0 && l.askAgain.Swap(0) != 0 {
				l.log.Info("limits are shared again")
			}
			return wait
		}
		if l.askAgain.Swap(rested) == 0 {
			l.log.Error("limits are this replica's own: the store did not answer", "error", err)
		}
	}
	wait, _ := ask(l.memory, ctx, key, rate) // which always answers
	return wait
}

// A rateError is a refusal until wait has passed.
type rateError struct {
	refusal rules.Refusal
	wait    time.Duration
}

func (e *rateError) Error() string { return e.refusal.Error() }
func (e *rateError) Unwrap() error { return &e.refusal }

func tooMany(wait time.Duration, of string) error {
	if wait <= 0 {
		return nil
	}
	return &rateError{rules.Refusal{Reason: rules.RateLimited, Detail: "too many " + of}, wait}
}

// addressKey is the client that an address stands for: one of IPv6 has a whole
// /64 to itself.
func addressKey(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		a = netip.PrefixFrom(a, 64).Masked().Addr()
	}
	return a.String()
}
