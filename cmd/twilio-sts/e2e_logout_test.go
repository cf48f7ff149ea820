package main_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

// logout has people sign in on two devices, sign out at the provider on one of
// them, and come back.
func (e endToEnd) logout(t *testing.T) {
	needNode(t)
	listen := freeAddress(t)
	notices := "http://" + listen + "/backchannel-logout/op"
	p := newProvider(t)
	p.clients = []map[string]any{
		{"client_id": "with-sid", "backchannel_logout_uri": notices, "backchannel_logout_session_required": true},
		{"client_id": "without-sid", "backchannel_logout_uri": notices},
	}
	p.start(t, newPrivateJWK(t, "k1"))
	s := e.serveAt(t, listen, fmt.Sprintf(`
issuers:
  - name: op
    issuer: %s
    audiences: [with-sid, without-sid]
    backchannel_logout: true
    identity: "op_${escape(claims.sub)}"
rules:
  - name: everyone
    when: "true"
    grants: {chat: {service_sid: IS00000000000000000000000000000000}}
`, p.issuer))
	accepted := func(who, token string) {
		t.Helper()
		if status, body := s.exchange(t, token, nil); status != http.StatusOK {
			t.Errorf("%s: status %d: %v", who, status, body)
		}
	}
	refused := func(token string) {
		t.Helper()
		status, body := s.exchange(t, token, nil)
		wantRefusal(t, "the session of this ID token has ended", "logged_out", "reauthenticate", status, body)
	}

	// With sid, one session ends.
	phone, laptop := newBrowser(t), newBrowser(t)
	alicesPhone, alicesLaptop := p.loginIn(t, phone, "with-sid", "alice"), p.loginIn(t, laptop, "with-sid", "alice")
	accepted("alice's phone", alicesPhone)
	accepted("alice's laptop", alicesLaptop)
	p.logOut(t, phone)
	refused(alicesPhone)
	accepted("alice's laptop, still", alicesLaptop)
	accepted("alice's phone, anew", p.loginIn(t, phone, "with-sid", "alice"))

	// Without, all that the person had until then.
	phone, laptop = newBrowser(t), newBrowser(t)
	bobsPhone, bobsLaptop := p.loginIn(t, phone, "without-sid", "bob"), p.loginIn(t, laptop, "without-sid", "bob")
	accepted("bob's phone", bobsPhone)
	accepted("bob's laptop", bobsLaptop)
	p.logOut(t, phone)
	refused(bobsPhone)
	refused(bobsLaptop)
	accepted("alice's laptop, whoever bob is", alicesLaptop)
	// Tokens tell the second in which they were issued, and no less.
	await(t, s.exited, "bob does not get in any more", func() bool {
		status, _ := s.exchange(t, p.loginIn(t, phone, "without-sid", "bob"), nil)
		return status == http.StatusOK
	})

	p.kill()
	if strings.Contains(p.stderr.String(), "logout notice:") {
		t.Errorf("a notice was not taken:\n%s", p.stderr.Bytes())
	}
}

var logoutForm = regexp.MustCompile(`action="([^"]+)"><input type="hidden" name="xsrf" value="([^"]+)"`)

// logOut signs the browser's owner out at the provider, who is asked whether
// they mean it. The provider has sent its notices when it is done.
func (p *provider) logOut(t *testing.T, browser *http.Client) {
	t.Helper()
	op, err := oidc.NewProvider(bounded(t), p.issuer)
	if err != nil {
		t.Fatal(err)
	}
	var metadata struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := op.Claims(&metadata); err != nil {
		t.Fatal(err)
	}
	resp, err := browser.Get(metadata.EndSession)
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body) // what is missing of it is missed below
	resp.Body.Close()
	form := logoutForm.FindSubmatch(page)
	if form == nil {
		t.Fatalf("the provider answered %s:\n%s", resp.Status, page)
	}
	resp, err = browser.PostForm(html.UnescapeString(string(form[1])), url.Values{"xsrf": {string(form[2])}, "logout": {"yes"}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the provider answered %s", resp.Status)
	}
}
