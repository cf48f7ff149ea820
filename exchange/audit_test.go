package exchange_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

// subjectHash is the audit line's, by its definition.
func subjectHash(issuer, sub string) string {
	mac := hmac.New(sha256.New, []byte(auditKey))
	fmt.Fprintf(mac, "%s\x00%s", issuer, sub)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// auditLine is the line of an exchange by the issuer idp; more is what stands
// after the fields that every line has.
func (s *site) auditLine(sub, client, address, rules, more string) string {
	return fmt.Sprintf(`{"time":"2026-05-28T20:26:40Z","trace_id":%q,"config":%q,"issuer":"idp","subject_hash":%q,"client":%q,"address":%q,"rules":%s,%s}`+"\n",
		siteTraceID, s.hash, subjectHash("https://idp.example.com", sub), client, address, rules, more)
}

const zerosJTI = `"jti":"SK0123456789abcdef0123456789abcdef-` + zerosID + `"`

func TestAuditLine(t *testing.T) {
	t.Parallel()
	usual := `"outcome":"granted","grants":["chat","sync"],"ttl":3600,` + zerosJTI
	withClaims := strings.NewReplacer(`audit: {key`, `audit: {claims: [email, groups, level, absent, "odd\"name", request.room, request.platform], key`)
	plain := strings.NewReplacer(`audit: {key`, `audit: {subjects: plain, key`)
	inGroup := func(group string) m { return m{"groups": []string{group}} }
	refused := func(reason, detail string) string {
		return fmt.Sprintf(`"outcome":"refused","reason":%q,"detail":%s`, reason, toJSON(detail))
	}
	for _, test := range []struct {
		name   string
		config *strings.Replacer
		claims m
		params []string
		rules  string
		want   string // after the rules; "" for no line
	}{
		{"granted", nil, nil, nil, `["everyone"]`, usual},
		{"granted by two rules", nil, inGroup("support"), []string{"room", "blue"}, `["support","everyone"]`,
			`"outcome":"granted","grants":["video","chat","sync"],"ttl":14400,` + zerosJTI},
		{"part of it asked for", nil, inGroup("support"), []string{"room", "blue", "scope", "chat"}, `["support","everyone"]`,
			`"outcome":"granted","grants":["chat"],"ttl":14400,` + zerosJTI},
		{"denied", nil, inGroup("suspended"), nil, `[]`, refused("denied", `rule "suspended" denies: account suspended`)},
		{"deny undecided", nil, inGroup("watched"), nil, `[]`, refused("rule_failed", `rule "watched" may deny: undecided (claim "level" is absent)`)},
		{"requirement", nil, inGroup("guest"), nil, `[]`, refused("requirement_failed", "issuers[0].require[0]: not matched")},
		{"no rule", nil, inGroup("nobody"), nil, `[]`, refused("no_rule", "no rule that matches grants anything")},
		{"value missing", nil, inGroup("support"), nil, `[]`, refused("rule_failed", `rules[2].grants.video.room: parameter "room" is absent`)},
		{"scope", nil, nil, []string{"scope", "video"}, `[]`, refused("invalid_scope", "scope asks for video, which the rules do not give")},
		{"identity", nil, m{"sub": strings.Repeat("x", 255)}, nil, `[]`, refused("identity_invalid", "the identity is longer than 256 bytes")},

		{"chosen claims", withClaims, m{"email": "a@example.com", "groups": []string{"x", "<y>"}, "level": 9007199254740993, "odd\"name": m{"n": nil}, "secret": "s"}, []string{"room", "blue"}, `["everyone"]`,
			usual + `,"claims":{"email":"a@example.com","groups":["x","\u003cy\u003e"],"level":9007199254740993,"odd\"name":{"n":null}},"request":{"platform":"web","room":"blue"}`},
		{"chosen claims that are absent", withClaims, nil, nil, `["everyone"]`, usual + `,"request":{"platform":"web"}`},
		{"chosen claims of who is refused", withClaims, m{"email": "a@example.com", "groups": []string{"suspended"}}, nil, `[]`,
			refused("denied", `rule "suspended" denies: account suspended`) + `,"claims":{"email":"a@example.com","groups":["suspended"]},"request":{"platform":"web"}`},
		{"plain subjects", plain, nil, nil, `["everyone"]`, usual + `,"sub":"auth0|1","identity":"idp__auth0_7C1"`},
		{"plain subject of who is refused", plain, inGroup("suspended"), nil, `[]`, refused("denied", `rule "suspended" denies: account suspended`) + `,"sub":"auth0|1"`},

		{"token not verified", nil, m{"exp": 1}, nil, "", ""},
		{"parameter not accepted", nil, nil, []string{"room", "/"}, "", ""},
		{"request malformed", nil, nil, []string{"scope", "a", "scope", "b"}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			configuration := siteConfig
			if test.config != nil {
				configuration = test.config.Replace(siteConfig)
			}
			elsewhere := time.FixedZone("elsewhere", 3600)
			s := newSite(t, configuration, func(o *exchange.Options) { o.Now = func() time.Time { return siteTime.In(elsewhere) } })
			s.post(t, form(s.token(test.claims), test.params...))
			want := ""
			if test.want != "" {
				sub, ok := test.claims["sub"].(string)
				if !ok {
					sub = "auth0|1"
				}
				want = s.auditLine(sub, "app", "127.0.0.1", test.rules, test.want)
			}
			if diff := cmp.Diff(want, s.audit.Take()); diff != "" {
				t.Errorf("audit line (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAuditLineAlone has the line be all that a verified token's exchange
// writes, at info.
func TestAuditLineAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	s.events.Take()
	s.post(t, form(s.token(nil)))
	s.post(t, form(s.token(m{"groups": []string{"suspended"}})))
	if got := s.events.Take(); got != "" {
		t.Errorf("events: %s", got)
	}
}

func TestAuditNamesTheClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	for _, test := range []struct {
		name   string
		claims m
		want   string
	}{
		{"the audience that matched", m{"aud": "ios"}, "ios"},
		{"azp", m{"aud": "ios", "azp": "android"}, "android"},
		{"azp of several", m{"aud": []string{"ios", "app"}, "azp": "android"}, "android"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.post(t, form(s.token(test.claims)))
			want := s.auditLine("auth0|1", test.want, "127.0.0.1", `["everyone"]`, `"outcome":"granted","grants":["chat","sync"],"ttl":3600,`+zerosJTI)
			if diff := cmp.Diff(want, s.audit.Take()); diff != "" {
				t.Errorf("audit line (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAuditAddress has what is believed of X-Forwarded-For: the test itself is
// a trusted proxy, by its address on loopback.
func TestAuditAddress(t *testing.T) {
	t.Parallel()
	trusting := newSite(t, siteConfig, nil)
	suspicious := newSite(t, strings.Replace(siteConfig, "  trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]\n", "", 1), nil)
	for _, test := range []struct {
		name   string
		site   *site
		header http.Header
		want   string
	}{
		{"no proxies, no header", suspicious, nil, "127.0.0.1"},
		{"no proxies, header", suspicious, headers("X-Forwarded-For", "203.0.113.9"), "127.0.0.1"},
		{"a proxy", trusting, headers("X-Forwarded-For", "203.0.113.9"), "203.0.113.9"},
		{"two proxies", trusting, headers("X-Forwarded-For", "203.0.113.9, 10.1.2.3"), "203.0.113.9"},
		{"a liar behind a proxy", trusting, headers("X-Forwarded-For", "10.9.9.9, 203.0.113.9"), "203.0.113.9"},
		{"two lines", trusting, headers("X-Forwarded-For", "198.51.100.1", "X-Forwarded-For", "203.0.113.9"), "203.0.113.9"},
		{"IPv6", trusting, headers("X-Forwarded-For", "2001:DB8::1"), "2001:db8::1"},
		{"no address", trusting, headers("X-Forwarded-For", "203.0.113.9, <script>"), "127.0.0.1"},
		{"other headers", trusting, headers("X-Real-Ip", "203.0.113.9", "Forwarded", "for=203.0.113.9", "True-Client-Ip", "203.0.113.9"), "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := test.header.Clone()
			if h == nil {
				h = http.Header{}
			}
			h.Set("Content-Type", formType)
			test.site.send(t, "POST", "/token", h, form(test.site.token(nil)))
			want := test.site.auditLine("auth0|1", "app", test.want, `["everyone"]`, `"outcome":"granted","grants":["chat","sync"],"ttl":3600,`+zerosJTI)
			if diff := cmp.Diff(want, test.site.audit.Take()); diff != "" {
				t.Errorf("audit line (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTraceID has the answer, the audit line and the log speak of the same
// request.
func TestTraceID(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	s.events.Take()
	for _, test := range []struct {
		name   string
		header []string
		given  bool
	}{
		{"given", []string{traceparent}, true},
		{"given, not sampled", []string{"00-" + siteTraceID + "-b7ad6b7169203331-00"}, true},
		{"none", nil, false},
		{"two", []string{traceparent, traceparent}, false},
		{"capitals", []string{strings.ToUpper(traceparent)}, false},
		{"no trace context", []string{siteTraceID}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			traceIDOf := func(text string) string {
				t.Helper()
				_, id, _ := strings.Cut(text, `"trace_id":"`)
				id, _, _ = strings.Cut(id, `"`)
				if decoded, err := hex.DecodeString(id); err != nil || len(decoded) != 16 || id != strings.ToLower(id) {
					t.Fatalf("no trace id: %s", text)
				}
				if test.given != (id == siteTraceID) {
					t.Errorf("trace id %s", id)
				}
				return id
			}
			h := http.Header{"Content-Type": {formType}, "Traceparent": test.header}
			denied := traceIDOf(s.send(t, "POST", "/token", h, form(s.token(m{"groups": []string{"suspended"}}))))
			if audited := traceIDOf(s.audit.Take()); audited != denied {
				t.Errorf("answer %s, audit line %s", denied, audited)
			}
			expired := traceIDOf(s.send(t, "POST", "/token", h, form(s.token(m{"exp": siteTime.Unix() - 60}))))
			if logged := traceIDOf(s.events.Take()); logged != expired {
				t.Errorf("answer %s, event %s", expired, logged)
			}
			if !test.given && denied == expired {
				t.Errorf("two requests have the trace id %s", denied)
			}
			s.clock.Advance(time.Second) // for the limit on events
		})
	}
}

// TestEventOfRefusedToken has the events of tokens that did not verify: what of
// them is known, and at most ten in a second.
func TestEventOfRefusedToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	s.events.Take()
	event := func(reason, detail, issuer, kid string, suppressed int) string {
		return fmt.Sprintf(`{"level":"INFO","msg":"refused","reason":%q,"detail":%q,"issuer":%q,"kid":%q,"address":"127.0.0.1","trace_id":%q,"suppressed":%d}`+"\n",
			reason, detail, issuer, kid, siteTraceID, suppressed)
	}
	for _, test := range []struct{ name, token, want string }{
		{"not read", "x", event("malformed_token", "malformed_token: it has not three parts", "", "", 0)},
		{"unknown issuer", s.token(m{"iss": "https://evil.example.com"}), event("unknown_issuer", "unknown_issuer: iss is not a configured issuer's", "", "k1", 0)},
		{"expired", s.token(m{"exp": siteTime.Unix() - 60}), event("token_expired", "token_expired: exp has passed", "idp", "k1", 0)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.post(t, form(test.token))
			if diff := cmp.Diff(test.want, s.events.Take()); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("many", func(t *testing.T) {
		s.clock.Advance(time.Second)
		for range 25 {
			s.post(t, form("x"))
		}
		if got, want := s.events.Take(), strings.Repeat(event("malformed_token", "malformed_token: it has not three parts", "", "", 0), 10); got != want {
			t.Errorf("events\n got %s\nwant %s", got, want)
		}
		s.clock.Advance(time.Second)
		s.post(t, form("x"))
		if got, want := s.events.Take(), event("malformed_token", "malformed_token: it has not three parts", "", "", 15); got != want {
			t.Errorf("events a second later\n got %s\nwant %s", got, want)
		}
	})
}

// TestSubjectHash has a configured key make hashes that can be compared, and
// none make hashes that cannot, with a warning.
func TestSubjectHash(t *testing.T) {
	t.Parallel()
	hashOf := func(s *site) string {
		s.post(t, form(s.token(nil)))
		var line struct {
			Hash string `json:"subject_hash"`
		}
		if err := json.Unmarshal([]byte(s.audit.Take()), &line); err != nil {
			t.Fatal(err)
		}
		return line.Hash
	}
	keyless := strings.Replace(siteConfig, "audit: {key: "+auditKey+"}\n", "", 1)
	a, b := newSite(t, keyless, nil), newSite(t, keyless, nil)
	const warning = `{"level":"WARN","msg":"audit.key is not set: subject hashes cannot be compared across starts or replicas"}` + "\n"
	if got := a.events.Take(); got != warning {
		t.Errorf("events\n got %s\nwant %s", got, warning)
	}
	first, again, other := hashOf(a), hashOf(a), hashOf(b)
	if first != again || first == other || len(first) != 32 {
		t.Errorf("hashes %s, %s and, of another start, %s", first, again, other)
	}
	keyed := newSite(t, siteConfig, nil)
	if got := keyed.events.Take(); got != "" {
		t.Errorf("events with a key: %s", got)
	}
}

// wholeLines fails the test unless each write is one line.
type wholeLines struct {
	t    *testing.T
	busy sync.Mutex
	n    int
}

func (w *wholeLines) Write(p []byte) (int, error) {
	if !w.busy.TryLock() {
		w.t.Error("two lines are written at the same time")
		return len(p), nil
	}
	defer w.busy.Unlock()
	if line, ok := strings.CutSuffix(string(p), "\n"); !ok || strings.Contains(line, "\n") || !json.Valid(p) {
		w.t.Errorf("not a line: %q", p)
	}
	w.n++
	return len(p), nil
}

func TestAuditLinesDoNotMix(t *testing.T) {
	t.Parallel()
	audit := &wholeLines{t: t}
	s := newSite(t, siteConfig, func(o *exchange.Options) { o.Audit, o.Log = audit, slog.New(slog.DiscardHandler) })
	body := form(s.token(nil))
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 25 {
				if got := s.post(t, body); got != usualAnswer {
					t.Error(got)
				}
			}
		})
	}
	clients.Wait()
	if audit.n != 200 {
		t.Errorf("%d lines for 200 exchanges", audit.n)
	}
}

// tearing writes half of the first line.
type tearing struct {
	exchangetest.Log
	torn bool
}

func (w *tearing) Write(p []byte) (int, error) {
	if !w.torn {
		w.torn = true
		n, _ := w.Log.Write(p[:len(p)/2])
		return n, io.ErrShortWrite
	}
	return w.Log.Write(p)
}

func TestAuditLineAfterHalfALine(t *testing.T) {
	t.Parallel()
	audit := &tearing{}
	s := newSite(t, siteConfig, func(o *exchange.Options) { o.Audit = audit })
	s.post(t, form(s.token(nil)))
	if diff := cmp.Diff(usualAnswer, s.post(t, form(s.token(nil)))); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	text := strings.TrimSuffix(audit.Take(), "\n")
	if last := text[strings.LastIndexByte(text, '\n')+1:]; !json.Valid([]byte(last)) {
		t.Errorf("the line of an exchange that was granted: %s", last)
	}
}

// A stalling writer stops at its first line, until released.
type stalling struct {
	exchangetest.Log
	entered, release chan struct{}
	writes           atomic.Int64
}

func (w *stalling) Write(p []byte) (int, error) {
	if w.writes.Add(1) == 1 {
		close(w.entered)
		<-w.release
	}
	return w.Log.Write(p)
}

// TestAuditReaderStops has the reader of the audit stop: the exchange whose line
// is being written is refused after two seconds, all others at once, until the
// line is written after all.
func TestAuditReaderStops(t *testing.T) {
	t.Parallel()
	audit := &stalling{entered: make(chan struct{}), release: make(chan struct{})}
	clock := exchangetest.NewClock(siteTime)
	s := newSite(t, siteConfig, func(o *exchange.Options) { o.Now, o.After, o.Audit = clock.Now, clock.After, audit })
	s.events.Take()
	body := form(s.token(nil))
	first := make(chan string, 1)
	go func() { first <- s.post(t, body) }()
	<-audit.entered
	if got := clock.AwaitTimer(t); got != 2*time.Second {
		t.Errorf("waits %s", got)
	}
	clock.Advance(2 * time.Second)
	refused := strings.Replace(refusalWith(503, "temporarily_unavailable", "a part of this service is not available", "audit_unavailable", "retry"),
		"Pragma: no-cache\n", "Pragma: no-cache\nRetry-After: 5\n", 1)
	if diff := cmp.Diff(refused, <-first); diff != "" {
		t.Errorf("the exchange whose line it is (-want +got):\n%s", diff)
	}
	for range 3 {
		if diff := cmp.Diff(refused, s.post(t, body)); diff != "" {
			t.Errorf("another (-want +got):\n%s", diff)
		}
	}
	if n := audit.writes.Load(); n != 1 {
		t.Errorf("%d writes while one hangs", n)
	}
	event := func(err string) string {
		return fmt.Sprintf(`{"level":"ERROR","msg":"audit","error":%q,"trace_id":%q}`+"\n", "writing the audit record: "+err, siteTraceID)
	}
	want := event("it takes longer than 2s; whatever the line says, its exchange is refused") +
		strings.Repeat(event("an earlier line is still being written"), 3)
	if diff := cmp.Diff(want, s.events.Take()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}

	close(audit.release)
	await(t, "written", func() bool { return s.post(t, body) == usualAnswer })
	lines := strings.Fields(strings.ReplaceAll(audit.Take(), " ", "_"))
	if len(lines) != 2 || !json.Valid([]byte(lines[0])) || !json.Valid([]byte(lines[1])) {
		t.Errorf("lines:\n%s", strings.Join(lines, "\n"))
	}
}

func TestEventOfRefusedRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	s.events.Take()
	event := func(reason, detail string) string {
		return fmt.Sprintf(`{"level":"INFO","msg":"refused","reason":%q,"detail":%q,"issuer":"","kid":"","address":"127.0.0.1","trace_id":%q,"suppressed":0}`+"\n", reason, reason+": "+detail, siteTraceID)
	}
	s.post(t, "x=1")
	s.post(t, form(s.token(nil), "room", "/"))
	s.send(t, "POST", "/token", headers("Origin", "https://evil.example.com", "Content-Type", formType), form(s.token(nil)))
	want := event("malformed_request", "grant_type is missing") +
		event("invalid_parameter", "the parameter room has a value that is not allowed") +
		event("origin_not_allowed", "the configuration does not list this origin")
	if diff := cmp.Diff(want, s.events.Take()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
