package exchange_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
	"twilio-sts/exchange"
)

// readAudit returns what a text of audit lines tells, up to its first fault.
func readAudit(text string) (lines []*exchange.AuditLine, fault string) {
	for line, err := range exchange.ReadAudit(strings.NewReader(text)) {
		if err != nil {
			return lines, err.Error()
		}
		lines = append(lines, line)
	}
	return lines, ""
}

// TestReadAuditOfExchanges reads back what exchanges wrote.
func TestReadAuditOfExchanges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, audit string
		claims      m
		parameters  map[string]string
		want        exchange.AuditLine
	}{
		{"nothing is listed", "", m{"groups": []any{"x"}}, nil,
			exchange.AuditLine{Claims: rules.Claims{}}},
		{"what is listed and there", ", claims: [groups, level, email, nested, request.room, request.platform]",
			m{"groups": []any{"support"}, "level": 7, "nested": m{"a": []any{nil, 1.5, true}}}, map[string]string{"room": "r"},
			exchange.AuditLine{
				Claims:  rules.Claims{"groups": []any{"support"}, "level": int64(7), "nested": map[string]any{"a": []any{nil, 1.5, true}}},
				Request: map[string]string{"room": "r", "platform": "web"},
			}},
		{"a subject as it is", ", subjects: plain", nil, nil,
			exchange.AuditLine{Claims: rules.Claims{"sub": "auth0|1"}}},
		{"what stands for what it is not", ", claims: [empty, a, b]",
			m{"empty": m{}, "a": m{"n": []any{m{}}}, "b": "b"}, nil,
			exchange.AuditLine{Claims: rules.Claims{"b": "b"}, Unclear: []string{"a", "empty"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := prepareSite(t, strings.Replace(siteConfig, "Subjects00}", "Subjects00"+test.audit+"}", 1), nil)
			r := exchange.Request{SubjectToken: s.token(test.claims), Parameters: test.parameters}
			if _, err := s.Exchange(t.Context(), &r); err != nil {
				t.Fatal(err)
			}
			lines, fault := readAudit(s.audit.Take())
			test.want.Number, test.want.Config, test.want.Issuer, test.want.Client = 1, s.hash, "idp", "app"
			test.want.Time, test.want.Subject = siteTime.UTC(), subjectHash("https://idp.example.com", "auth0|1")
			if diff := cmp.Diff([]*exchange.AuditLine{&test.want}, lines); diff != "" || fault != "" {
				t.Errorf("%s\n%s", fault, diff)
			}
		})
	}
}

// A line that was cut off does not hide the others.
func TestReadAuditGoesOn(t *testing.T) {
	t.Parallel()
	const good = `{"time":"2026-03-01T10:00:00Z","issuer":"idp","subject_hash":"ab"}` + "\n"
	got := ""
	for line, err := range exchange.ReadAudit(strings.NewReader(good + good[:30] + "\n" + good + "{\n" + strings.Repeat("x", 1<<20+1) + "\n" + good)) {
		if err != nil {
			got += err.Error() + "\n"
			continue
		}
		got += fmt.Sprintf("line %d: %s\n", line.Number, line.Subject)
	}
	const want = `line 1: ab
line 2: this is no audit line
line 3: ab
line 4: this is no audit line
line 5: it is longer than 1 MiB
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReadAuditFaults(t *testing.T) {
	t.Parallel()
	const good = `{"time":"2026-03-01T10:00:00Z","issuer":"idp","subject_hash":"ab"}` + "\n"
	const notOne = "this is no audit line"
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"empty lines", "\n" + good + "\n", ""},
		{"no JSON", good + "serving\n", "line 2: " + notOne},
		{"a line that was cut off", good + good[:30], "line 2: " + notOne},
		{"another event", `{"time":"2026-03-01T10:00:00Z","level":"INFO"}`, "line 1: " + notOne},
		{"no time", `{"issuer":"idp","subject_hash":"ab"}`, "line 1: " + notOne},
		{"no subject", `{"time":"2026-03-01T10:00:00Z","issuer":"idp"}`, "line 1: " + notOne},
		{"a parameter that is no text", strings.Replace(good, "}", `,"request":{"room":1}}`, 1), "line 1: " + notOne},
		{"claims that are no object", strings.Replace(good, "}", `,"claims":["sub"]}`, 1), "line 1: malformed_token: the claims are not a strict JSON object"},
		{"a claim twice", strings.Replace(good, "}", `,"claims":{"a":1,"a":2}}`, 1), "line 1: malformed_token: the claims are not a strict JSON object"},
		{"a line that is too long", good + strings.Repeat("x", 1<<20+1), "line 2: it is longer than 1 MiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			lines, got := readAudit(test.text)
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			for _, line := range lines {
				want := &exchange.AuditLine{Number: line.Number, Time: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), Issuer: "idp", Subject: "ab", Claims: rules.Claims{}}
				if diff := cmp.Diff(want, line); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}
