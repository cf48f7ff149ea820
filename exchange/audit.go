package exchange

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange/internal/accesstoken"
	"twilio-sts/exchange/internal/idtoken"
)

// A record is the audit line of one exchange of a verified token. No other
// claim value, no token and no secret enters it.
type record struct {
	Time     time.Time      `json:"time"`
	TraceID  string         `json:"trace_id"`
	Config   string         `json:"config"` // hash of the configuration
	Issuer   string         `json:"issuer"` // its name
	Subject  string         `json:"subject_hash"`
	Client   string         `json:"client"`
	Address  string         `json:"address"`
	Rules    []string       `json:"rules"`   // that contributed
	Outcome  string         `json:"outcome"` // granted or refused
	Reason   rules.Reason   `json:"reason,omitempty"`
	Detail   string         `json:"detail,omitempty"` // of a refusal: a rule's or a claim's name, a deny's text
	Grants   []string       `json:"grants,omitempty"` // kinds
	TTL      int64          `json:"ttl,omitempty"`    // seconds
	TokenID  string         `json:"jti,omitempty"`
	Sub      string         `json:"sub,omitempty"`      // with subjects: plain
	Identity string         `json:"identity,omitempty"` // with subjects: plain
	Claims   map[string]any `json:"claims,omitempty"`   // those in audit.claims
	Request  map[string]any `json:"request,omitempty"`  // those in audit.claims

	line  []byte    // the record as it was written; nil when it was not
	trace ruleTrace // for operators, not for the audit
}

// An audit makes records as a configuration says, and writes them.
type audit struct {
	*auditLog
	cfg        config.Audit
	configHash string
	key        []byte
}

// newAudit returns an audit that writes to log. Without a configured key,
// subject hashes are comparable within one run only.
func newAudit(cfg *config.Config, log *auditLog) *audit {
	a := &audit{auditLog: log, cfg: cfg.Audit, configHash: cfg.Hash, key: []byte(cfg.Audit.Key.Reveal())}
	if !cfg.Audit.Key.IsSet() {
		a.key = log.randomKey
	}
	return a
}

// An auditLog takes records, one JSON line each, whatever the configuration.
type auditLog struct {
	randomKey []byte // of this run

	mu   sync.Mutex
	out  io.Writer
	torn bool // the last line was not written to its end
}

func newAuditLog(out io.Writer) *auditLog {
	key := make([]byte, sha256.Size)
	rand.Read(key) // never fails, crypto/rand
	return &auditLog{randomKey: key, out: out}
}

// newRecord begins the record of token's exchange.
func (a *audit) newRecord(now time.Time, r *Request, token *idtoken.Token, parameters map[string]string) *record {
	sub, _ := token.Claims()["sub"].(string)
	rec := &record{
		Time:    now.UTC(),
		TraceID: r.TraceID,
		Config:  a.configHash,
		Issuer:  token.Issuer(),
		Subject: a.hash(token.IssuerID(), sub),
		Client:  token.Client(),
		Address: r.Address,
		Rules:   []string{},
	}
	if a.cfg.Plain {
		rec.Sub = sub
	}
	for _, name := range a.cfg.Claims {
		if parameter, ok := strings.CutPrefix(name, "request."); ok {
			if value, sent := parameters[parameter]; sent {
				rec.Request = with(rec.Request, parameter, value)
			}
		} else if value, present := token.Claims()[name]; present {
			rec.Claims = with(rec.Claims, name, value)
		}
	}
	return rec
}

func with(m map[string]any, name string, value any) map[string]any {
	if m == nil {
		m = map[string]any{}
	}
	m[name] = value
	return m
}

// hash names a subject without telling who it is: hex of the first 16 bytes of
// HMAC-SHA256(audit key, issuer ‖ 0x00 ‖ sub), the issuer as configured.
func (a *audit) hash(issuerID, sub string) string {
	mac := hmac.New(sha256.New, a.key)
	io.WriteString(mac, issuerID+"\x00"+sub)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

func (rec *record) decided(d *rules.Decision) {
	rec.Rules = d.Rules
	rec.Grants = kindNames(d)
	rec.TTL = int64(d.TTL / time.Second)
}

func (a *audit) granted(rec *record, t *accesstoken.Token) {
	rec.Outcome = "granted"
	rec.TokenID = t.ID
	if a.cfg.Plain {
		rec.Identity = t.Identity
	}
}

func (rec *record) refused(err error) {
	rec.Outcome = "refused"
	rec.Reason = rules.ReasonOf(err)
	rec.TokenID = "" // nobody has it
	var r *rules.Refusal
	if errors.As(err, &r) {
		rec.Detail = r.Detail
	}
}

// write writes rec as one line. An exchange whose line cannot be written is
// not answered with a token.
func (a *auditLog) write(rec *record) error {
	line, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encoding the audit record: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	line = append(line, '\n')
	if a.torn { // or this one would be part of it
		line = append([]byte{'\n'}, line...)
	}
	n, err := a.out.Write(line)
	a.torn = err != nil && (a.torn || n > 0)
	if err != nil {
		return fmt.Errorf("writing the audit record: %w", err)
	}
	rec.line = line
	return nil
}
