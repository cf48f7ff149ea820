package exchange_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"twilio-sts/exchange/exchangetest"
)

// leakLength is how much of a text must not be seen elsewhere: shorter pieces
// occur by chance.
const leakLength = 20

// secrets are all pieces of leakLength bytes of texts that must not leak.
type secrets map[string]string // what the piece is of

func (s secrets) add(what, text string) {
	for i := 0; i+leakLength <= len(text); i++ {
		s[text[i:i+leakLength]] = what
	}
}

// leaked says what a text shows, or "".
func (s secrets) leaked(text string) string {
	for i := 0; i+leakLength <= len(text); i++ {
		if what, ok := s[text[i:i+leakLength]]; ok {
			return fmt.Sprintf("%s (%q)", what, text[i:i+leakLength])
		}
	}
	return ""
}

// ownWords are the parts of a good answer that are the person's.
var ownWords = regexp.MustCompile(`"access_token":"…"|"identity":"[^"]*"|"grants":\{.*\},"region"`)

// TestNothingLeaks sends many requests, good, bad and malformed, full of long
// random texts, and looks for pieces of these in everything that comes out.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	g := &leakGenerator{Rand: rand.New(rand.NewPCG(1, 2)), site: s,
		stranger: exchangetest.NewKey(t, "ES256", "k1"), unnamed: exchangetest.NewKey(t, "ES256", "k9")}
	reasons := map[string]int{}
	for n := range 1500 {
		g.secrets = secrets{}
		for _, secret := range []string{mainSecret, dublinSecret, auditKey} {
			g.secrets.add("a secret of the configuration", secret)
		}
		header, body := g.request()
		text := s.send(t, "POST", "/token", header, body)
		reasons[reasonOf(text)]++
		for what, shown := range map[string]string{
			"answer":     ownWords.ReplaceAllString(text, ""),
			"audit line": s.audit.Take(),
			"events":     s.events.Take(),
		} {
			if leak := g.secrets.leaked(shown); leak != "" {
				t.Fatalf("request %d: the %s shows %s\n%s\n%s\nrequest: %v\n%s", n, what, leak, shown, text, header, body)
			}
		}
		s.clock.Advance(time.Second) // events are limited by the second
	}
	if reasons["internal"] > 0 {
		t.Errorf("%d requests broke something", reasons["internal"])
	}
	for _, reason := range []string{"granted", "denied", "bad_signature", "malformed_token", "malformed_request", "invalid_parameter",
		"token_expired", "rule_failed", "identity_invalid", "unknown_issuer", "wrong_audience", "invalid_scope"} {
		if reasons[reason] == 0 {
			t.Errorf("no request was %s: %v", reason, reasons)
		}
	}
}

// reasonOf returns the reason in an answer's text, or granted.
func reasonOf(text string) string {
	if strings.HasPrefix(text, "200\n") {
		return "granted"
	}
	_, reason, _ := strings.Cut(text, `"reason":"`)
	reason, _, _ = strings.Cut(reason, `"`)
	return reason
}

// A leakGenerator makes requests, and notes what of them must not leak.
type leakGenerator struct {
	*rand.Rand
	site              *site
	stranger, unnamed *exchangetest.Key
	secrets           secrets
}

// oneIn reports true once in n times.
func (g *leakGenerator) oneIn(n int) bool { return g.IntN(n) == 0 }

// text returns a random text that must not leak.
func (g *leakGenerator) text(what string) string {
	b := make([]byte, 16+g.IntN(24))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	text := hex.EncodeToString(b)
	g.secrets.add(what, text)
	return text
}

func pick[T any](g *leakGenerator, from ...T) T { return from[g.IntN(len(from))] }

// claims are mostly good.
func (g *leakGenerator) claims() m {
	now := g.site.clock.Now().Unix()
	c := m{"sub": g.text("sub"), "iat": now - 60, "exp": now + 3600, "email": g.text("email"), "name": g.text("name"), "nested": m{g.text("name of a member"): []string{g.text("nested claim")}}}
	groups := []string{g.text("group")}
	if g.oneIn(2) {
		groups = append(groups, pick(g, "suspended", "watched", "guest", "support", "agents", "nobody"))
	}
	c["groups"] = groups
	if g.oneIn(4) {
		bad := g.text("bad claim")
		name := pick(g, "iss", "aud", "azp", "sub", "exp", "iat", "nbf", "groups", "level", "_claim_names", "events", "typ", "token_use", "SUB", "nonce")
		c[name] = pick[any](g, bad, []string{bad}, m{bad: bad}, 1, 1.5, nil, true, now-3600, now+3600)
	}
	if g.oneIn(16) {
		c["exp"] = now - 60
	}
	if g.oneIn(16) {
		c["sub"] = strings.Repeat(g.text("long sub"), 8)[:pick(g, 255, 256)]
	}
	if g.oneIn(16) {
		c["aud"] = g.text("audience")
	}
	return claims(c)
}

// token is mostly one that the site takes.
func (g *leakGenerator) token() string {
	c := g.claims()
	key, h := g.site.key, g.site.key.Header()
	switch g.IntN(12) {
	case 0:
		key = g.stranger
	case 1:
		key, h = g.unnamed, g.unnamed.Header()
	case 2:
		h[pick(g, "jku", "x5u", "crit", "typ", "alg", "new")] = g.text("header")
	}
	token := key.Sign(h, c)
	if g.oneIn(12) { // damage it
		at := g.IntN(len(token))
		token = token[:at] + pick(g, "", ".", "=", " ", "%", "\"", "A", "\x00", "é") + token[at+g.IntN(min(20, len(token)-at)):]
	}
	g.secrets.add("the token", token)
	for part := range strings.SplitSeq(token, ".") {
		g.secrets.add("the token", part)
	}
	return token
}

// request has a token in some place, and other things.
func (g *leakGenerator) request() (http.Header, string) {
	token := g.token()
	h := headers("X-Forwarded-For", "203.0.113.9", "User-Agent", g.text("User-Agent"), "Cookie", g.text("Cookie"))
	if g.oneIn(6) {
		h.Set("Origin", pick(g, appOrigin, partnerOrigin, "null", "https://"+g.text("Origin")))
	}
	var more []string
	if g.oneIn(2) {
		more = append(more, "room", pick(g, "blue", g.text("room")[:32], g.text("room")+"/", ""))
	}
	if g.oneIn(6) {
		more = append(more, pick(g, "scope", "platform", "requested_token_type", "actor_token", "audience", g.text("name of a parameter")), g.text("parameter"))
	}
	clean := strings.Map(func(r rune) rune { // what Go's client sends in a header
		if r < 0x20 || r == 0x7f {
			return -1
		}
		return r
	}, token)
	switch g.IntN(6) {
	case 0:
		h.Set("Authorization", "Bearer "+clean)
		return h, ""
	case 1:
		h.Set("Authorization", pick(g, "Basic ", "Bearer  ", "", "DPoP ")+clean)
		h.Set("Content-Type", pick(g, formType, jsonType, g.text("Content-Type")))
		return h, toJSON(m{"room": token, g.text("name of a member"): g.text("member")})
	case 2:
		h.Set("Content-Type", formType)
		return h, pick(g, strings.Replace(form(token, more...), "id_token", g.text("token type"), 1), "subject_token="+token, token, form(token, "subject_token", token), form(token)+"&x=%"+token)
	}
	h.Set("Content-Type", formType)
	return h, form(token, more...)
}
