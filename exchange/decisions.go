package exchange

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"twilio-sts/config/rules"
)

// What the service remembers of its verdicts. With the least there is to say of
// each, a full memory has about 1 MiB; whatever tokens and rules are like, it
// has no more than 16.
const (
	ringSize   = 1000
	maxDetails = 4 << 20 // bytes of claims' names and of traces that a ring keeps
	maxLine    = 4 << 10 // bytes of an audit line; a longer one is kept without values
)

// A Decision is what the service remembers of one request for a token: its audit
// line, which a request that was refused before has as well, and more for who
// wants to know why. Of values it has those that audit.claims lists.
type Decision struct {
	record
	Claims  map[string]json.RawMessage `json:"claims,omitempty"`
	Request map[string]string          `json:"request,omitempty"`

	Verified   bool              `json:"verified"`              // the ID token
	KeyID      string            `json:"kid,omitempty"`         // of a token that did not verify: the client's word
	ClaimTypes map[string]string `json:"claim_types,omitempty"` // of every claim
	Parameters []string          `json:"parameters,omitempty"`  // names of those declared that were sent or have a default
	Trace      *rules.Trace      `json:"trace,omitempty"`       // of a refusal by the rules
	Untraced   string            `json:"untraced,omitempty"`    // why it has none
}

// decisions remember the last 1,000 verdicts on verified tokens and, apart, the
// last 1,000 refusals before that, which anybody can cause.
type decisions struct {
	mu              sync.Mutex
	added           int64 // in all
	verified, early ring
}

// A ring has the last entries that were added to it.
type ring struct {
	entries []entry // once full, the oldest is at next
	next    int
	details int // bytes, as entry.details counts
}

// An entry is a Decision made small.
type entry struct {
	number   int64 // in order of arrival
	traceID  string
	line     []byte // the record, as JSON
	verified bool
	keyID    string
	claims   []claimType
	params   []string
	trace    ruleTrace
}

type claimType struct{ name, kind string }

// refused remembers a request that was refused before a token was verified;
// keyID is what the token named.
func (d *decisions) refused(rec *record, keyID string) {
	e := entry{traceID: rec.TraceID, keyID: keyID}
	e.setLine(rec)
	d.add(&d.early, e)
}

// decided remembers the verdict on a verified token with these claims.
func (d *decisions) decided(rec *record, claims rules.Claims, parameters map[string]string) {
	e := entry{traceID: rec.TraceID, verified: true, trace: rec.trace, claims: make([]claimType, 0, len(claims))}
	for name, value := range claims {
		e.claims = append(e.claims, claimType{name, rules.TypeName(value)})
	}
	for name := range parameters {
		e.params = append(e.params, name)
	}
	e.setLine(rec)
	d.add(&d.verified, e)
}

// setLine takes over the line that the audit wrote, or writes one.
func (e *entry) setLine(rec *record) {
	e.line = rec.line
	if len(e.line) > maxLine {
		rec.Claims, rec.Request = nil, nil
		e.line = nil
	}
	if e.line == nil {
		e.line, _ = json.Marshal(rec) // cannot fail: what could has been written, or is gone
	}
}

func (d *decisions) add(r *ring, e entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.added++
	e.number = d.added
	r.add(e)
}

func (r *ring) add(e entry) {
	if len(r.entries) < ringSize {
		r.entries = append(r.entries, e)
	} else {
		r.details -= r.entries[r.next].details()
		r.entries[r.next] = e
	}
	r.next = (r.next + 1) % ringSize
	r.details += e.details()
	for i := 0; r.details > maxDetails; i++ {
		oldest := &r.entries[(r.next+i)%len(r.entries)]
		r.details -= oldest.details()
		oldest.forgetDetails()
	}
}

// details is how many bytes an entry's details have.
func (e *entry) details() int {
	n := len(e.trace.packed)
	for _, c := range e.claims {
		n += 32 + len(c.name)
	}
	return n
}

func (e *entry) forgetDetails() {
	if e.details() > 0 {
		e.claims, e.trace = nil, ruleTrace{missing: "the details were dropped to make room for later ones"}
	}
}

// newest returns an entry by its age, from 0.
func (r *ring) newest(age int) *entry {
	return &r.entries[(r.next-1-age+len(r.entries))%len(r.entries)]
}

// latest returns the latest entries, at most limit, of those with the given
// trace id or, when it is "", of all. Later ones come first.
func (d *decisions) latest(limit int, traceID string) []entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []entry
	verified, early := 0, 0
	for len(found) < limit && verified+early < len(d.verified.entries)+len(d.early.entries) {
		var e *entry
		if verified < len(d.verified.entries) {
			e = d.verified.newest(verified)
		}
		if early < len(d.early.entries) && (e == nil || d.early.newest(early).number > e.number) {
			e = d.early.newest(early)
			early++
		} else {
			verified++
		}
		if traceID == "" || traceID == e.traceID {
			found = append(found, *e)
		}
	}
	return found
}

// decision returns all there is in an entry.
func (e *entry) decision() (*Decision, error) {
	d := &Decision{}
	if err := json.Unmarshal(e.line, d); err != nil {
		return nil, fmt.Errorf("reading a record: %w", err)
	}
	d.Verified, d.KeyID, d.Parameters, d.Untraced = e.verified, e.keyID, slices.Sorted(slices.Values(e.params)), e.trace.missing
	if len(e.claims) > 0 {
		d.ClaimTypes = make(map[string]string, len(e.claims))
	}
	for _, c := range e.claims {
		d.ClaimTypes[c.name] = c.kind
	}
	var err error
	d.Trace, err = e.trace.unpack()
	return d, err
}

// decisionByTraceID answers GET /decisions/{trace_id}: the latest of a trace.
func (s *Service) decisionByTraceID(c echo.Context) error {
	found := s.decisions.latest(1, c.Param("trace_id"))
	if len(found) == 0 {
		return malformedWith(http.StatusNotFound, "no decision is kept under this trace id")
	}
	d, err := found[0].decision()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, d)
}

// A decisionSummary is a Decision in a list of them.
type decisionSummary struct {
	Time     time.Time    `json:"time"`
	TraceID  string       `json:"trace_id"`
	Issuer   string       `json:"issuer"`
	Verified bool         `json:"verified"`
	Outcome  string       `json:"outcome"`
	Reason   rules.Reason `json:"reason,omitempty"`
}

// listDecisions answers GET /decisions?limit=N: the latest first, 100 of them
// unless said.
func (s *Service) listDecisions(c echo.Context) error {
	limit := 100
	if text := c.QueryParam("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 2*ringSize {
			return malformedWith(http.StatusBadRequest, fmt.Sprintf("limit is not a number from 1 to %d", 2*ringSize))
		}
		limit = n
	}
	list := []decisionSummary{}
	for _, e := range s.decisions.latest(limit, "") {
		summary := decisionSummary{}
		if err := json.Unmarshal(e.line, &summary); err != nil {
			return fmt.Errorf("reading a record: %w", err)
		}
		summary.Verified = e.verified
		list = append(list, summary)
	}
	return c.JSON(http.StatusOK, map[string]any{"decisions": list})
}
