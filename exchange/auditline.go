package exchange

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"twilio-sts/config/rules"
	"twilio-sts/exchange/internal/idtoken"
)

// maxAuditLine bounds a line that is read back: a token's claims, escaped, and
// what stands beside them.
const maxAuditLine = 1 << 20

// An AuditLine is what a line of the audit tells of a person and their request.
// What came of it is left out.
type AuditLine struct {
	Number  int // in the file, from 1
	Time    time.Time
	Config  string // the configuration's hash
	Issuer  string // its name
	Subject string // the hash
	Client  string
	Claims  rules.Claims      // those the line tells; sub with subjects: plain
	Request map[string]string // parameters it tells, sent or by default
	// Unclear names claims that the line may not tell as they were: it writes a
	// number that rules cannot represent as {}.
	Unclear []string
}

// ErrNoAuditLine is of a line that is no whole audit line. One that a full disk
// cut off is such a line, and tells of an exchange that was refused for it.
var ErrNoAuditLine = errors.New("this is no audit line")

// ReadAudit reads audit lines until the end or a fault. Behind a line that is
// ErrNoAuditLine it may go on; any other error is the last. Errors begin with
// the line's number and quote nothing of it.
func ReadAudit(r io.Reader) iter.Seq2[*AuditLine, error] {
	return func(yield func(*AuditLine, error) bool) {
		s := bufio.NewScanner(r)
		s.Buffer(nil, maxAuditLine)
		n := 0
		for s.Scan() {
			n++
			if len(s.Bytes()) == 0 {
				continue
			}
			line, err := parseAuditLine(s.Bytes())
			if err != nil {
				err = fmt.Errorf("line %d: %w", n, err)
			} else {
				line.Number = n
			}
			if !yield(line, err) || err != nil && !errors.Is(err, ErrNoAuditLine) {
				return
			}
		}
		err := s.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = errors.New("it is longer than 1 MiB")
		}
		if err != nil {
			yield(nil, fmt.Errorf("line %d: %w", n+1, err))
		}
	}
}

func parseAuditLine(data []byte) (*AuditLine, error) {
	var rec struct {
		record
		Claims  json.RawMessage   `json:"claims"`
		Request map[string]string `json:"request"`
	}
	if err := json.Unmarshal(data, &rec); err != nil || rec.Issuer == "" || rec.Subject == "" || rec.Time.IsZero() {
		return nil, ErrNoAuditLine
	}
	line := &AuditLine{
		Time: rec.Time, Config: rec.Config, Issuer: rec.Issuer, Subject: rec.Subject, Client: rec.Client,
		Claims: rules.Claims{}, Request: rec.Request,
	}
	if rec.Claims != nil {
		claims, err := idtoken.ParseClaims(rec.Claims)
		if err != nil {
			return nil, err
		}
		line.Claims = claims
	}
	for name, value := range line.Claims {
		if hasEmptyObject(value) {
			delete(line.Claims, name)
			line.Unclear = append(line.Unclear, name)
		}
	}
	slices.Sort(line.Unclear)
	if rec.Sub != "" {
		line.Claims["sub"] = rec.Sub
	}
	return line, nil
}

// hasEmptyObject reports whether v is, or holds at any depth, an object without
// members.
func hasEmptyObject(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, hasEmptyObject)
	case map[string]any:
		for _, member := range v {
			if hasEmptyObject(member) {
				return true
			}
		}
		return len(v) == 0
	}
	return false
}
