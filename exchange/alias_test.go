package exchange_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
	"twilio-sts/exchange"
)

// googleConfig has an issuer that spells its iss in two ways.
const googleConfig = `
version: 1
identity_key: ThirtyTwoBytesThatNamePeople0000
accounts:
  - name: main
    account_sid: AC0123456789abcdef0123456789abcdef
    api_key_sid: SK0123456789abcdef0123456789abcdef
    api_key_secret: AsecretThatIsNoAuthTokenAtAll123
issuers:
  - name: idp
    issuer: https://accounts.google.com
    provider: google
    audiences: [app]
    algorithms: [ES256]
    jwks_file: keys.json
    backchannel_logout: true
    identity: "g__${pseudonym(claims.sub)}"
limits: {per_ip: off, per_subject: 2/h, failures_per_ip: off}
audit: {key: ThirtyTwoBytesThatHashSubjects00}
rules:
  - {name: all, when: "true", grants: {sync: {service_sid: default}}}
`

var googleSpellings = []string{"https://accounts.google.com", "accounts.google.com"}

// TestOnePersonWhateverIssSays has one person's tokens with each spelling of
// iss: they have one identity and one subject hash, by the issuer as it is
// configured, share one limit, and end with one logout.
func TestOnePersonWhateverIssSays(t *testing.T) {
	t.Parallel()
	s := newSite(t, googleConfig, nil)
	token := func(iss string, at int64) string {
		return s.token(m{"iss": iss, "azp": "app", "iat": siteTime.Unix() - at})
	}
	identity := "g__" + rules.Pseudonym([]byte("ThirtyTwoBytesThatNamePeople0000"), "https://accounts.google.com", "auth0|1")
	hash := subjectHash("https://accounts.google.com", "auth0|1")
	for _, iss := range googleSpellings {
		if got, want := s.post(t, form(token(iss, 60))), `"identity":"`+identity+`"`; !strings.Contains(got, want) {
			t.Errorf("iss %s: %s\nwant %s", iss, got, want)
		}
		var line struct {
			Hash string `json:"subject_hash"`
		}
		if err := json.Unmarshal([]byte(s.audit.Take()), &line); err != nil || line.Hash != hash {
			t.Errorf("iss %s: subject hash %s, %v, want %s", iss, line.Hash, err, hash)
		}
		for how, r := range map[string]exchange.ExplainRequest{
			"token":            {Token: token(iss, 60)},
			"unverified token": {Token: token(iss, 100_000), Unverified: true},
			"claims":           {Claims: fmt.Appendf(nil, `{"iss": %q, "sub": "auth0|1", "azp": "app"}`, iss)},
		} {
			x, err := s.Explain(t.Context(), r)
			if err != nil || x.Decision == nil || x.Decision.Identity != identity {
				t.Errorf("explain, %s with iss %s: %v, %v, want identity %s", how, iss, brief(x), err, identity)
			}
		}
	}
	if got := s.post(t, form(token(googleSpellings[0], 60))); !strings.Contains(got, `"reason":"rate_limited"`) {
		t.Errorf("after one request with each spelling, of two an hour: %s", got)
	}
}

func TestLogoutWhateverIssSays(t *testing.T) {
	t.Parallel()
	for _, of := range googleSpellings {
		s := newSite(t, googleConfig, nil)
		if diff := cmp.Diff(loggedOut, s.logOut(t, s.logoutToken(m{"iss": of, "sid": nil}))); diff != "" {
			t.Errorf("logout token of %s (-want +got):\n%s", of, diff)
		}
		for _, iss := range googleSpellings {
			if got := s.post(t, form(s.token(m{"iss": iss, "azp": "app"}))); !strings.Contains(got, `"reason":"logged_out"`) {
				t.Errorf("logged out by %s, then a token of %s: %s", of, iss, got)
			}
		}
	}
}
