package exchange

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
)

// TestRingIsBounded fills a ring with more than it keeps: it has every line and,
// of the details, the latest.
func TestRingIsBounded(t *testing.T) {
	t.Parallel()
	var d decisions
	const each = maxDetails / 100
	for n := range ringSize + 500 {
		d.decided(&record{TraceID: fmt.Sprint(n), trace: ruleTrace{packed: make([]byte, each)}}, rules.Claims{strings.Repeat("n", 100): 1}, nil)
		if d.verified.details > maxDetails || len(d.verified.entries) > ringSize {
			t.Fatalf("after %d: %d bytes of details, %d entries", n, d.verified.details, len(d.verified.entries))
		}
	}
	got := d.latest(2*ringSize, "")
	if len(got) != ringSize {
		t.Fatalf("it has %d entries", len(got))
	}
	bytes := 0
	for i, e := range got {
		if want := fmt.Sprint(ringSize + 499 - i); e.traceID != want || len(e.line) == 0 {
			t.Fatalf("entry %d is %s, want %s", i, e.traceID, want)
		}
		bytes += e.details()
		dropped := e.trace.missing == "the details were dropped to make room for later ones"
		if kept := i < 99; kept == dropped || kept != (e.trace.packed != nil && e.claims != nil) {
			t.Fatalf("entry %d: %q, a trace of %d bytes", i, e.trace.missing, len(e.trace.packed))
		}
	}
	if bytes != d.verified.details {
		t.Errorf("it has %d bytes of details and counts %d", bytes, d.verified.details)
	}

	// What is larger than all there is room for is not kept.
	d.decided(&record{TraceID: "large", trace: ruleTrace{packed: make([]byte, maxDetails+1)}}, nil, nil)
	if e := d.latest(1, "large")[0]; e.details() != 0 || d.verified.details != 0 {
		t.Errorf("%d bytes of details of a large one, %d in all", e.details(), d.verified.details)
	}
}

// TestLongLine has a line with too much in it be kept without values.
func TestLongLine(t *testing.T) {
	t.Parallel()
	var d decisions
	rec := &record{TraceID: "a", Outcome: "granted", Claims: map[string]any{"about": strings.Repeat("x", maxLine)}, Request: map[string]any{"room": "blue"}}
	if err := (&auditLog{out: new(strings.Builder)}).write(rec); err != nil {
		t.Fatal(err)
	}
	d.decided(rec, rules.Claims{"about": "x"}, map[string]string{"room": "blue"})
	got, err := d.latest(1, "a")[0].decision()
	if err != nil {
		t.Fatal(err)
	}
	if got.Claims != nil || got.Request != nil || got.Outcome != "granted" {
		t.Errorf("kept: %+v", got)
	}
	if diff := cmp.Diff(map[string]string{"about": "string"}, got.ClaimTypes); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}

// TestSameTraceID has the newest be found, of whatever kind it is.
func TestSameTraceID(t *testing.T) {
	t.Parallel()
	var d decisions
	outcome := func() string {
		t.Helper()
		found, err := d.latest(1, "a")[0].decision()
		if err != nil {
			t.Fatal(err)
		}
		return found.Outcome + " " + found.Detail
	}
	for n := range 3 {
		d.refused(&record{TraceID: "a", Outcome: "refused", Detail: fmt.Sprint(n)}, "k1")
		if got, want := outcome(), fmt.Sprintf("refused %d", n); got != want {
			t.Errorf("found %q, want %q", got, want)
		}
		d.decided(&record{TraceID: "a", Outcome: "granted", Detail: fmt.Sprint(n)}, nil, nil)
		if got, want := outcome(), fmt.Sprintf("granted %d", n); got != want {
			t.Errorf("found %q, want %q", got, want)
		}
		d.decided(&record{TraceID: "b"}, nil, nil)
	}
}

// TestRetrace has traces be made one at a time, and rest in between for nineteen
// times as long as they took.
func TestRetrace(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_780_000_000, 0)
	r := &retracer{now: func() time.Time { return now }, log: slog.New(slog.DiscardHandler)}
	fill := func(trace *rules.Trace) {
		trace.Rules = []rules.Step{{Name: "a", Path: "rules[0]", Verdict: rules.Matched}}
	}
	packed := func(traced ruleTrace) string {
		t.Helper()
		trace, err := traced.unpack()
		if err != nil {
			t.Fatal(err)
		}
		if trace == nil {
			return traced.missing
		}
		return trace.Rules[0].Name + traced.missing
	}
	inside := ""
	slow := func(trace *rules.Trace) {
		inside = packed(r.retrace(fill))
		now = now.Add(time.Millisecond)
		fill(trace)
	}
	for _, step := range []struct {
		name   string
		passes time.Duration
		decide func(*rules.Trace)
		want   string
	}{
		{"the first", 0, slow, "a"},
		{"at once", 0, fill, notRetraced},
		{"too soon", 19*time.Millisecond - 1, fill, notRetraced},
		{"after its rest", 1, fill, "a"},
		{"which took no time", 0, fill, "a"},
		{"a panic", 0, func(*rules.Trace) { panic("in a rule") }, notTraceable},
		{"after it", 0, fill, "a"},
	} {
		now = now.Add(step.passes)
		if got := packed(r.retrace(step.decide)); got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	if inside != notRetraced {
		t.Errorf("while another is made: %q", inside)
	}
}

// TestDirectLoopback has peers that no test can connect from.
func TestDirectLoopback(t *testing.T) {
	t.Parallel()
	for peer, want := range map[string]bool{
		"127.0.0.1:1": true, "127.255.255.254:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true,
		"192.0.2.1:1": false, "10.0.0.1:1": false, "0.0.0.0:1": false, "[::]:1": false, "[2001:db8::1]:1": false,
		"[fe80::1%eth0]:1": false, "[::ffff:192.0.2.1]:1": false, "localhost:1": false, "@": false, "": false,
	} {
		r := httptest.NewRequest("GET", "http://127.0.0.1/decisions", nil)
		r.RemoteAddr = peer
		if got := isDirectLoopback(r); got != want {
			t.Errorf("from %q: %v, want %v", peer, got, want)
		}
	}
}

// BenchmarkDecisions measures what an exchange pays for being remembered.
func BenchmarkDecisions(b *testing.B) {
	claims := rules.Claims{}
	for n := range 20 {
		claims[fmt.Sprintf("https://example.com/claim-%d", n)] = "value"
	}
	line := []byte(strings.Repeat("x", 500))
	var d decisions
	b.ReportAllocs()
	for b.Loop() {
		d.decided(&record{TraceID: "0af7651916cd43dd8448eb211c80319c", line: line}, claims, map[string]string{"room": "blue"})
	}
}
