package exchange

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange/internal/accesstoken"
	"twilio-sts/exchange/internal/idtoken"
)

const (
	shadowQueue       = 256 // exchanges that may wait to be decided anew
	shadowReportEvery = time.Minute
)

// A shadow decides exchanges anew by a candidate configuration, beside the
// requests and never in their way: one goroutine takes them from a bounded
// queue, and what does not fit is dropped and counted. It logs for whom what
// would change, in names alone. A nil shadow does nothing.
type shadow struct {
	cfg     *config.Config
	log     *slog.Logger
	queue   chan exchanged
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once // closes stop
	dropped atomic.Int64

	// The goroutine's alone. Its time is that of the exchange it sees.
	at       time.Time
	lines    *throttle
	counts   shadowCounts
	reported shadowCounts
	reportAt time.Time
}

// shadowCounts are what became of the exchanges since the start.
type shadowCounts struct{ seen, different, widened, failed, dropped int64 }

// An exchanged is what an exchange was decided from, and what came of it. All
// of it is immutable.
type exchanged struct {
	traceID    string
	origin     string
	issuer     string // its name
	issuerID   string
	claims     rules.Claims
	parameters map[string]string // as sent
	scope      []string
	at         time.Time
	live       rules.Outcome
}

// newShadow returns a shadow that runs until close, or nil without a candidate.
func newShadow(candidate *config.Config, log *slog.Logger, now time.Time) *shadow {
	if candidate == nil {
		return nil
	}
	s := &shadow{
		cfg:      candidate,
		log:      log,
		queue:    make(chan exchanged, shadowQueue),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
		reportAt: now.Add(shadowReportEvery),
	}
	s.lines = &throttle{now: func() time.Time { return s.at }, perSecond: 10}
	go s.run()
	return s
}

// offer hands over an exchange of a verified token. It never waits. An exchange
// that no configuration decided, but what the store says, is none of its
// business.
func (s *shadow) offer(r *Request, token *idtoken.Token, at time.Time, approval *accesstoken.Approval, err error) {
	if s == nil {
		return
	}
	switch rules.ReasonOf(err) {
	case rules.RateLimited, rules.LoggedOut, rules.StoreUnavailable:
		return
	}
	x := exchanged{
		traceID: r.TraceID, origin: r.Origin, issuer: token.Issuer(), issuerID: token.IssuerID(), claims: token.Claims(),
		parameters: r.Parameters, scope: r.Scope, at: at, live: rules.Outcome{Err: err},
	}
	if err == nil {
		x.live.Decision = approval.Decision()
	}
	select {
	case s.queue <- x:
	default:
		s.dropped.Add(1)
	}
}

// close decides what is in the queue, logs the counts and ends the goroutine.
func (s *shadow) close() {
	if s == nil {
		return
	}
	s.once.Do(func() { close(s.stop) })
	<-s.done
}

func (s *shadow) run() {
	defer close(s.done)
	for {
		select {
		case x := <-s.queue:
			s.see(x)
		case <-s.stop:
			for {
				select {
				case x := <-s.queue:
					s.see(x)
				default:
					s.report()
					return
				}
			}
		}
	}
}

// see compares one exchange with what the candidate would make of it. A panic
// in there is the candidate's, and must not take the service along.
func (s *shadow) see(x exchanged) {
	s.at = x.at
	s.counts.seen++
	defer func() {
		if r := recover(); r != nil {
			s.counts.failed++
			s.log.Error("shadow", "error", fmt.Sprintf("a panic of type %T", r), "trace_id", x.traceID)
		}
		if !x.at.Before(s.reportAt) {
			s.reportAt = x.at.Add(shadowReportEvery)
			s.report()
		}
	}()
	var candidate rules.Outcome
	candidate.Decision, candidate.Err = s.decide(x)
	changes, err := rules.Compare(x.live, candidate)
	if err != nil || len(changes) == 0 {
		return
	}
	s.counts.different++
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = string(c.Direction) + " " + c.What
	}
	widens := slices.ContainsFunc(changes, func(c rules.Change) bool { return c.Direction == rules.Widens })
	if widens {
		s.counts.widened++
	}
	if ok, suppressed := s.lines.allow(); ok {
		s.log.Info("shadow differs", "trace_id", x.traceID, "issuer", x.issuer, "changes", names, "widens", widens,
			"live", outcomeWord(x.live), "shadow", outcomeWord(candidate), "suppressed", suppressed)
	}
}

// outcomeWord is granted, or the reason of a refusal.
func outcomeWord(o rules.Outcome) string {
	if o.Err != nil {
		return string(rules.ReasonOf(o.Err))
	}
	return "granted"
}

// decide decides by the candidate all of an exchange but the signature, which
// was verified with the live issuer's keys. Issuers are matched by name.
func (s *shadow) decide(x exchanged) (*rules.Decision, error) {
	issuer := s.cfg.Issuer(x.issuer)
	if issuer == nil {
		return nil, rules.Refuse(rules.UnknownIssuer, "the candidate has no issuer of this name")
	}
	parameters, err := s.cfg.Rules.Parameters(x.parameters)
	if err != nil {
		return nil, err
	}
	client, err := s.cfg.Rules.CheckClaims(x.issuer, x.claims, x.at)
	if err != nil {
		return nil, err
	}
	if !originAllowed(issuer, x.origin) {
		return nil, rules.Refuse(rules.OriginNotAllowed, "the issuer does not list this origin")
	}
	return s.cfg.Rules.Decide(&rules.Input{
		Issuer: x.issuer, IssuerID: x.issuerID, Client: client, Claims: x.claims,
		Request: parameters, Scope: x.scope, Now: x.at,
	}, nil)
}

// report logs the counts where they have changed.
func (s *shadow) report() {
	s.counts.dropped = s.dropped.Load()
	if s.counts == s.reported {
		return
	}
	s.reported = s.counts
	s.log.Info("shadow so far", "config", s.cfg.Hash, "seen", s.counts.seen, "different", s.counts.different,
		"widened", s.counts.widened, "failed", s.counts.failed, "dropped", s.counts.dropped)
}
