package exchange

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange/internal/accesstoken"
	"twilio-sts/exchange/internal/idtoken"
	"twilio-sts/exchange/internal/store"
)

// Options are what a Service needs beyond its configuration.
type Options struct {
	Now       func() time.Time  // nil: time.Now
	Log       *slog.Logger      // events; nil: discarded
	Audit     io.Writer         // one JSON line per exchange; nil: discarded
	Rand      io.Reader         // for token ids; nil: crypto/rand
	Transport http.RoundTripper // fetches keys; nil: one with limits
	Shadow    *config.Config    // decides every exchange too, for the log alone; nil: none
	Store     store.Store       // what replicas agree on; nil: in memory, for one replica

	After func(time.Duration) <-chan time.Time // bounds the wait for Audit; nil: time.After

	// OnReload is told what came of each attempt at another configuration, one
	// at a time: the hash of the one that is served from then on, and why that is
	// still the one before, or nil.
	OnReload func(hash string, err error)
}

// A Service exchanges ID tokens for Twilio access tokens.
type Service struct {
	options  Options
	now      func() time.Time
	log      *slog.Logger
	auditLog *auditLog
	store    store.Store
	limiter  *limiter
	early    *throttle              // log lines about tokens that did not verify
	shadow   atomic.Pointer[shadow] // nil: none
	ready    readiness

	current   atomic.Pointer[snapshot] // what a request begins with
	reloading sync.Mutex
	running   context.Context // what Start was given; nil: nothing

	decisions   decisions
	retracer    *retracer
	storeErrors *throttle    // log lines
	forwarded   atomic.Int64 // requests whose X-Forwarded-For was not believed
}

// New returns a Service for cfg. It does no I/O: Start, or Serve, fetches keys.
// With a Shadow, Close ends it.
func New(cfg *config.Config, o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Audit == nil {
		o.Audit = io.Discard
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Store == nil {
		o.Store = store.NewMemory(o.Now)
	}
	s := &Service{
		options:     o,
		now:         o.Now,
		log:         o.Log,
		auditLog:    newAuditLog(&boundedWriter{out: o.Audit, after: o.After}),
		store:       o.Store,
		limiter:     newLimiter(o.Store, o.Now, o.Log),
		early:       &throttle{now: o.Now, perSecond: 10},
		retracer:    &retracer{now: o.Now, log: o.Log},
		storeErrors: &throttle{now: o.Now, perSecond: 10},
	}
	verifier, err := idtoken.New(cfg, idtoken.Options{Now: o.Now, Log: o.Log, Transport: o.Transport})
	if err != nil {
		return nil, err
	}
	s.current.Store(s.newSnapshot(cfg, verifier))
	s.shadow.Store(newShadow(o.Shadow, o.Log, o.Now()))
	return s, nil
}

// Close waits until the Shadow has seen every exchange that it took, and logs
// what became of them, and what else was counted. Exchanges go on without it.
func (s *Service) Close() {
	s.shadow.Load().close()
	if n := s.forwarded.Swap(0); n > 0 {
		s.log.Info("X-Forwarded-For was not believed", "requests", n)
	}
}

// Start keeps every issuer's keys fresh until ctx ends. It does not wait for
// them.
func (s *Service) Start(ctx context.Context) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.running = ctx
	s.current.Load().verifier.Start(ctx)
}

// Exchange verifies the subject token, decides by the rules what its owner
// gets, and mints that. The audit line is written before the answer leaves.
// Errors are *rules.Refusal, and never hold a token or a claim's value.
func (s *Service) Exchange(ctx context.Context, r *Request) (*Answer, error) {
	return s.current.Load().exchange(ctx, r)
}

func (s *snapshot) exchange(ctx context.Context, r *Request) (*Answer, error) {
	parameters, err := s.cfg.Rules.Parameters(r.Parameters)
	if err != nil {
		s.noteEarly(r, err)
		return nil, err
	}
	token, err := s.verifier.Verify(ctx, r.SubjectToken)
	if err != nil {
		s.noteEarly(r, err)
		return nil, err
	}
	rec := s.audit.newRecord(s.now(), r, token, parameters)
	defer func() {
		if p := recover(); p != nil { // the line is owed whatever happens
			rec.refused(rules.Refuse(rules.Internal, "panic"))
			s.audit.write(rec) // the panic says more than that this failed, too
			s.decisions.decided(rec, token.Claims(), parameters)
			panic(p)
		}
	}()
	answer, err := s.grant(ctx, r, token, parameters, rec)
	if err != nil {
		rec.refused(err)
	}
	if failure := s.audit.write(rec); failure != nil {
		s.log.Error("audit", "error", failure, "trace_id", r.TraceID)
		answer, err = nil, rules.Refuse(rules.AuditUnavailable, "the audit line could not be written")
		rec.refused(err)
	}
	s.decisions.decided(rec, token.Claims(), parameters)
	return answer, err
}

// grant decides and mints for a verified token, and notes both in rec.
func (s *snapshot) grant(ctx context.Context, r *Request, token *idtoken.Token, parameters map[string]string, rec *record) (*Answer, error) {
	now := s.now()
	approval, err := s.approve(ctx, r, token, parameters, now)
	s.shadow.Load().offer(r, token, now, approval, err)
	if err != nil {
		rec.trace = s.retrace(r, token, parameters, now, err)
		return nil, err
	}
	rec.decided(approval.Decision())
	minted, err := s.minter.Mint(approval, func() error { return s.use(ctx, r, token) })
	if err != nil {
		return nil, err
	}
	s.audit.granted(rec, minted)
	return newAnswer(r.RequestedTokenType, approval.Decision(), minted), nil
}

// approve decides for a verified token that comes from an origin its issuer
// allows, whose subject does not ask too often, and whose session has not ended.
func (s *snapshot) approve(ctx context.Context, r *Request, token *idtoken.Token, parameters map[string]string, now time.Time) (*accesstoken.Approval, error) {
	if !originAllowed(s.cfg.Issuer(token.Issuer()), r.Origin) {
		return nil, rules.Refuse(rules.OriginNotAllowed, "the issuer does not list this origin")
	}
	if err := s.limits.subject(ctx, token); err != nil {
		return nil, err
	}
	if err := s.checkSession(ctx, r, token); err != nil {
		return nil, err
	}
	return accesstoken.Approve(token, s.cfg.Rules, accesstoken.Request{Parameters: parameters, Scope: r.Scope}, now)
}

// retrace returns the rules' part in refusing what approve refused by err.
func (s *snapshot) retrace(r *Request, token *idtoken.Token, parameters map[string]string, now time.Time, err error) ruleTrace {
	switch rules.ReasonOf(err) {
	case rules.OriginNotAllowed, rules.RateLimited, rules.LoggedOut, rules.StoreUnavailable:
		return ruleTrace{} // the rules had no part in it
	}
	return s.retracer.retrace(func(trace *rules.Trace) {
		s.cfg.Rules.Decide(token.Input(parameters, r.Scope, now), trace) //nolint:errcheck // it refuses again; the trace is what is wanted
	})
}

// originAllowed reports whether an issuer that narrows the server's origins
// lists this one. Programs that are no browser send none.
func originAllowed(issuer *config.Issuer, origin string) bool {
	return origin == "" || issuer.AllowedOrigins == nil || slices.Contains(issuer.AllowedOrigins, origin)
}

// noteEarly remembers a request that was refused before its token was verified,
// and logs it, at most ten times a second: who is not signed in can neither fill
// the disk nor hide in the noise.
func (s *snapshot) noteEarly(r *Request, err error) { s.noteRefused("refused", r, err) }

func (s *snapshot) noteRefused(msg string, r *Request, err error) {
	var known idtoken.Rejection
	if rejection := (*idtoken.Rejection)(nil); errors.As(err, &rejection) {
		known = *rejection
	}
	rec := &record{Time: s.now().UTC(), TraceID: r.TraceID, Config: s.cfg.Hash, Issuer: known.Issuer, Address: r.Address, Rules: []string{}}
	rec.refused(err)
	s.decisions.refused(rec, known.KeyID)
	if ok, suppressed := s.early.allow(); ok {
		s.log.Info(msg, "reason", rec.Reason, "detail", err.Error(), "issuer", known.Issuer, "kid", known.KeyID,
			"address", r.Address, "trace_id", r.TraceID, "suppressed", suppressed)
	}
}
