package exchange

import (
	"context"
	"log/slog"
	"time"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange/internal/idtoken"
	"twilio-sts/exchange/internal/store"
)

// OpenStore opens the store that cfg names, for Options.Store. It does no I/O.
// Who opens it closes it, after the Service.
func OpenStore(cfg *config.Config, now func() time.Time, log *slog.Logger) (store.Store, error) {
	if !cfg.Store.RedisURL.IsSet() {
		return store.NewMemory(now), nil
	}
	return store.NewRedis(cfg.Store.RedisURL.Reveal(), store.RedisOptions{Now: now, Log: log})
}

// use counts a use of a token whose issuer limits them. The count lives for as
// long as the token is accepted.
func (s *snapshot) use(ctx context.Context, r *Request, token *idtoken.Token) error {
	issuer := s.cfg.Issuer(token.Issuer())
	if issuer.MaxUses == 0 {
		return nil
	}
	exp, _ := token.Claims().Time("exp")
	ok, err := s.store.Use(ctx, token.ReplayKey(), issuer.MaxUses, exp.Add(issuer.Policy.ClockSkew))
	switch {
	case err != nil:
		return s.unchecked(r, err)
	case !ok:
		return rules.Refuse(rules.Replayed, "it was used as often as max_uses allows")
	}
	return nil
}

// unchecked is what becomes of an exchange that the store did not answer for.
func (s *snapshot) unchecked(r *Request, err error) error {
	refusal := s.storeUnavailable(r, err)
	if s.cfg.Store.OnFailure == "insecure_allow" {
		return nil
	}
	return refusal
}

// storeUnavailable refuses, and logs the store's error, which tells no key, at
// most ten times a second.
func (s *Service) storeUnavailable(r *Request, err error) error {
	if ok, suppressed := s.storeErrors.allow(); ok {
		s.log.Error("store", "error", err, "trace_id", r.TraceID, "suppressed", suppressed)
	}
	return rules.Refuse(rules.StoreUnavailable, "the store did not answer")
}
