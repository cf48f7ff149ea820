package devidp_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"twilio-sts/exchange/devidp"
)

func TestCodeFlow(t *testing.T) {
	p := serve(t, realms())
	styles := []struct {
		name  string
		style oauth2.AuthStyle
	}{
		{"client_id in the form", oauth2.AuthStyleInParams},
		{"client_id in a header", oauth2.AuthStyleInHeader},
		{"the client tries both", oauth2.AuthStyleAutoDetect},
	}
	people := []struct {
		name string
		form url.Values
		want map[string]any
	}{
		{"a persona", url.Values{"persona": {"agent"}}, map[string]any{"sub": "agent-7", "groups": []any{"agents"}}},
		{"somebody else", url.Values{"claims": {`{"sub": "x", "iss": "y", "nbf": 99999999999, "hd": "acme.example"}`}}, map[string]any{"sub": "x", "hd": "acme.example"}},
	}
	for _, style := range styles {
		for _, person := range people {
			t.Run(style.name+"/"+person.name, func(t *testing.T) {
				p := p.in(t)
				app := p.app(style.style)
				verifier := oauth2.GenerateVerifier()
				authorize := app.AuthCodeURL("a state/&", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", "n-1"))

				page := p.get(authorize)
				if page.status != 200 || !strings.Contains(page.body, "web asks who you are") || !strings.Contains(page.body, "answers calls") {
					t.Fatalf("persona page = %d %s", page.status, page.body)
				}
				back := p.post(p.action(page.body, authorize), person.form)
				if back.status != 303 {
					t.Fatalf("status = %d, want 303, which never sends the form on: %s", back.status, back.body)
				}
				query := back.location.Query()
				code := query.Get("code")
				query.Del("code")
				want := url.Values{"page": {"1"}, "state": {"a state/&"}, "iss": {p.url + "/dev"}}
				if diff := cmp.Diff(want, query); diff != "" {
					t.Errorf("answer besides the code (-want +got):\n%s", diff)
				}
				if back.location.RawQuery = ""; back.location.String() != "http://localhost:3000/callback" {
					t.Errorf("leads back to %s", back.location)
				}

				token, err := app.Exchange(t.Context(), code, oauth2.VerifierOption(verifier))
				if err != nil {
					t.Fatal(err)
				}
				idToken, _ := token.Extra("id_token").(string)
				own := p.own("dev", "web", person.want)
				own["nonce"] = "n-1"
				if diff := cmp.Diff(own, p.claims("dev", "web", idToken)); diff != "" {
					t.Errorf("claims (-want +got):\n%s", diff)
				}
				if token.Type() != "Bearer" || token.AccessToken == "" || token.ExpiresIn != 3600 {
					t.Errorf("token = %s %q, %d s", token.Type(), token.AccessToken, token.ExpiresIn)
				}
			})
		}
	}
}

func TestFreeClaimsKeepTheirNumbers(t *testing.T) {
	p := serve(t, realms())
	back := p.post(p.authorizeURL(), url.Values{"claims": {`{"sub": "x", "n": 12345678901234567890}`}})
	var tokens struct {
		IDToken string `json:"id_token"`
	}
	a := p.post(p.url+"/dev/token", redemption(back.location.Query().Get("code")))
	if err := json.Unmarshal([]byte(a.body), &tokens); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.IDToken, ".")[1])
	if err != nil || !strings.Contains(string(payload), `"n":12345678901234567890`) {
		t.Errorf("payload = %s (%v)", payload, err)
	}
}

func TestFreeClaimsRefused(t *testing.T) {
	p := serve(t, realms())
	tests := []struct{ name, claims, want string }{
		{"not JSON", `sub: x`, "the claims are not a JSON object"},
		{"half an object", `{"sub": "x"`, "the claims are not a JSON object"},
		{"null", `null`, "the claims are not a JSON object"},
		{"list", `[{"sub": "x"}]`, "the claims are not a JSON object"},
		{"two objects", `{"sub": "x"} {"sub": "y"}`, "something stands behind the claims"},
		{"trailing text", `{"sub": "x"}, and more`, "something stands behind the claims"},
		{"no sub", `{"email": "x@example.com"}`, "the claims have no sub"},
		{"empty sub", `{"sub": ""}`, "the claims have no sub"},
		{"sub is no text", `{"sub": 7}`, "the claims have no sub"},
		{"endless depth", `{"sub": "x", "deep": ` + strings.Repeat("[", 10001), "the claims are not a JSON object"},
		// The body is cut, and nothing of it is taken.
		{"larger than the form may be", `{"sub": "` + strings.Repeat("x", 64<<10) + `"}`, "no persona has this name; there are agent, plain, liar"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := p.in(t)
			a := p.post(p.authorizeURL(), url.Values{"claims": {tt.claims}})
			if a.status != 400 || !strings.Contains(a.body, `role="alert">`+tt.want+`<`) {
				t.Errorf("answer = %d %s, want 400 %s", a.status, a.body, tt.want)
			}
			// The page offers another try.
			if a := p.post(p.action(a.body, p.url+"/dev/authorize"), url.Values{"persona": {"agent"}}); a.location == nil {
				t.Errorf("second try = %d %s", a.status, a.body)
			}
		})
	}
}

// An answer goes back to the app only once it is sure where the app is; from
// there on each fault is the app's to show.
func TestAuthorizeRefusals(t *testing.T) {
	p := serve(t, realms())
	tests := []struct {
		name, parameter, value string
		wantPage, wantError    string
	}{
		{"no client_id", "client_id", "", "No app has this client_id here; there are web, phone.", ""},
		{"client_id of another realm", "client_id", "other", "No app has this client_id here; there are web, phone.", ""},
		{"no redirect_uri", "redirect_uri", "", "redirect_uri does not lead back to an app on this machine.", ""},
		{"no response_type", "response_type", "", "", "unsupported_response_type"},
		{"implicit flow", "response_type", "id_token", "", "unsupported_response_type"},
		{"no challenge", "code_challenge", "", "", "invalid_request"},
		{"challenge of another length", "code_challenge", "short", "", "invalid_request"},
		{"plain challenge", "code_challenge_method", "plain", "", "invalid_request"},
		{"challenge of no method, which is plain", "code_challenge_method", "", "", "invalid_request"},
		{"sign in without a page", "prompt", "none", "", "login_required"},
	}
	for _, tt := range tests {
		for _, method := range []string{"GET", "POST"} {
			t.Run(tt.name+"/"+method, func(t *testing.T) {
				p := p.in(t)
				target, err := url.Parse(p.authorizeURL())
				if err != nil {
					t.Fatal(err)
				}
				query := target.Query()
				query.Set(tt.parameter, tt.value)
				target.RawQuery = query.Encode()
				a := p.do(method, target.String(), url.Values{"persona": {"agent"}})
				if tt.wantPage != "" {
					if a.status != 400 || a.location != nil || !strings.Contains(a.body, `role="alert">`+tt.wantPage+`<`) {
						t.Errorf("answer = %d to %v: %s, want 400 %s", a.status, a.location, a.body, tt.wantPage)
					}
					return
				}
				want := url.Values{"error": {tt.wantError}, "page": {"1"}, "state": {"xyz"}, "iss": {p.url + "/dev"}}
				if a.location == nil {
					t.Fatalf("answer = %d %s", a.status, a.body)
				}
				if diff := cmp.Diff(want, a.location.Query()); diff != "" {
					t.Errorf("answer (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestRedirectURI(t *testing.T) {
	p := serve(t, realms())
	tests := []struct {
		uri string
		ok  bool
	}{
		{"http://localhost:3000/callback", true},
		{"https://localhost:3000/callback", true},
		{"http://127.0.0.1/", true},
		{"http://[::1]:3000/", true},
		{"com.example.app:/callback", true},
		{"com.example.app://callback", true},
		{"http://example.com/callback", false},
		{"https://example.com/", false},
		{"HTTPS://example.com/", false},
		{"//example.com/", false},
		{"/callback", false},
		{"callback", false},
		{"http:example.com", false},
		{"http:/example.com", false},
		{"http:///example.com", false},
		{"http://localhost.example.com/", false},
		{"http://localhost@example.com/", false},
		{"http://localhost:80@example.com/", false},
		{"http://example.com\\@localhost/", false},
		{"http://localhost\\.example.com/", false},
		{"http://localhost%2eexample.com/", false},
		{"http://0.0.0.0/", false},
		{"http://192.168.1.2/", false},
		{"http://localhost/#fragment", false},
		{"javascript:alert(1)", false},
		{"JavaScript://localhost/%0aalert(1)", false},
		{" javascript:alert(1)", false},
		{"java\nscript:alert(1)", false},
		{"data:text/html,x", false},
		{"vbscript:x", false},
		{"file:///etc/passwd", false},
		{"blob:http://localhost/x", false},
		{"about:blank", false},
		{"http://localhost/\r\nSet-Cookie: a=b", false},
	}
	for _, tt := range tests {
		t.Run(tt.uri, func(t *testing.T) {
			p := p.in(t)
			app := p.app(oauth2.AuthStyleInParams)
			app.RedirectURL = tt.uri
			authorize := app.AuthCodeURL("xyz", oauth2.S256ChallengeOption(verifier))
			a := p.post(authorize, url.Values{"persona": {"agent"}})
			if !tt.ok {
				if a.status != 400 || a.location != nil || !strings.Contains(a.body, "redirect_uri does not lead back to an app on this machine.") {
					t.Errorf("answer = %d to %v: %s", a.status, a.location, a.body)
				}
				return
			}
			if a.location == nil {
				t.Fatalf("answer = %d %s", a.status, a.body)
			}
			if a.location.RawQuery = ""; a.location.String() != tt.uri {
				t.Errorf("leads to %s", a.location)
			}
		})
	}
}

// What an app has in its redirect_uri cannot pass for the provider's answer.
func TestRedirectURIHoldsNoAnswer(t *testing.T) {
	p := serve(t, realms())
	app := p.app(oauth2.AuthStyleInParams)
	app.RedirectURL = "http://localhost/?code=planted&state=planted&iss=planted"
	query := p.post(app.AuthCodeURL("xyz", oauth2.S256ChallengeOption(verifier)), url.Values{"persona": {"agent"}}).location.Query()
	if len(query["code"]) != 1 || query.Get("code") == "planted" || query.Get("state") != "xyz" || query.Get("iss") != p.url+"/dev" {
		t.Errorf("answer = %v", query)
	}
}

func TestTokenRefusals(t *testing.T) {
	p := serve(t, realms())
	tests := []struct {
		name   string
		change func(form url.Values)
		path   string
		after  time.Duration
		want   string
	}{
		{name: "nothing", change: func(form url.Values) { clear(form) }, want: "unsupported_grant_type"},
		{name: "another grant", change: func(form url.Values) { form.Set("grant_type", "password") }, want: "unsupported_grant_type"},
		{name: "no code", change: func(form url.Values) { form.Del("code") }, want: "invalid_grant"},
		{name: "unknown code", change: func(form url.Values) { form.Set("code", "x") }, want: "invalid_grant"},
		{name: "no verifier", change: func(form url.Values) { form.Del("code_verifier") }, want: "invalid_grant"},
		{name: "wrong verifier", change: func(form url.Values) { form.Set("code_verifier", verifier+"x") }, want: "invalid_grant"},
		{name: "the challenge for its verifier", change: func(form url.Values) { form.Set("code_verifier", oauth2.S256ChallengeFromVerifier(verifier)) }, want: "invalid_grant"},
		{name: "no redirect_uri", change: func(form url.Values) { form.Del("redirect_uri") }, want: "invalid_grant"},
		{name: "another redirect_uri", change: func(form url.Values) { form.Set("redirect_uri", "http://localhost:3000/callback") }, want: "invalid_grant"},
		{name: "no client", change: func(form url.Values) { form.Del("client_id") }, want: "invalid_grant"},
		{name: "another client", change: func(form url.Values) { form.Set("client_id", "phone") }, want: "invalid_grant"},
		{name: "another realm", change: func(url.Values) {}, path: "/second/token", want: "invalid_grant"},
		{name: "too late", change: func(url.Values) {}, after: time.Minute, want: "invalid_grant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := p.in(t)
			form := redemption(p.code())
			tt.change(form)
			p.clock.add(tt.after)
			path := "/dev/token"
			if tt.path != "" {
				path = tt.path
			}
			a := p.post(p.url+path, form)
			if want := `{"error":"` + tt.want + `"}` + "\n"; a.status != 400 || a.body != want || a.header.Get("Content-Type") != "application/json" {
				t.Errorf("answer = %d %s, want 400 %s", a.status, a.body, want)
			}
		})
	}
	t.Run("not in the query", func(t *testing.T) {
		p := p.in(t)
		a := p.post(p.url+"/dev/token?"+redemption(p.code()).Encode(), url.Values{})
		if want := `{"error":"unsupported_grant_type"}` + "\n"; a.status != 400 || a.body != want {
			t.Errorf("answer = %d %s, want 400 %s", a.status, a.body, want)
		}
	})
	t.Run("in the last moment", func(t *testing.T) {
		p := p.in(t)
		form := redemption(p.code())
		p.clock.add(time.Minute - time.Nanosecond)
		if a := p.post(p.url+"/dev/token", form); a.status != 200 {
			t.Errorf("answer = %d %s", a.status, a.body)
		}
	})
}

func TestCodeIsSpentOnce(t *testing.T) {
	p := serve(t, realms())
	t.Run("by many at once", func(t *testing.T) {
		p := p.in(t)
		form := redemption(p.code())
		var redeemed sync.Map
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				if a := p.post(p.url+"/dev/token", form); a.status == 200 {
					redeemed.Store(i, true)
				}
			})
		}
		wg.Wait()
		n := 0
		redeemed.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Errorf("redeemed %d times, want once", n)
		}
	})
	// Whoever guesses at a stolen code's verifier has one guess.
	t.Run("by a wrong verifier too", func(t *testing.T) {
		p := p.in(t)
		form := redemption(p.code())
		form.Set("code_verifier", "wrong")
		p.post(p.url+"/dev/token", form)
		form.Set("code_verifier", verifier)
		if a := p.post(p.url+"/dev/token", form); a.status != 400 {
			t.Errorf("answer = %d %s", a.status, a.body)
		}
	})
}

func TestLoginsAreBounded(t *testing.T) {
	p := serve(t, realms())
	authorize := p.authorizeURL()
	signIn := func() url.Values { return p.post(authorize, url.Values{"persona": {"agent"}}).location.Query() }
	for range 1000 {
		if query := signIn(); query.Get("code") == "" {
			t.Fatalf("answer = %v", query)
		}
	}
	if query := signIn(); query.Get("error") != "temporarily_unavailable" || query.Has("code") {
		t.Errorf("answer above the bound = %v", query)
	}
	p.clock.add(time.Minute)
	if query := signIn(); query.Get("code") == "" {
		t.Errorf("answer once the codes have expired = %v", query)
	}
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

func (p *idp) startDevice(clientID string) *oauth2.DeviceAuthResponse {
	p.Helper()
	app := p.app(oauth2.AuthStyleInParams)
	app.ClientID = clientID
	device, err := app.DeviceAuth(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	return device
}

func (p *idp) poll(device *oauth2.DeviceAuthResponse) answer {
	p.Helper()
	return p.post(p.url+"/dev/token", url.Values{"grant_type": {deviceGrant}, "device_code": {device.DeviceCode}, "client_id": {"web"}})
}

// wantPoll polls for a device that still has to wait, or is refused.
func (p *idp) wantPoll(device *oauth2.DeviceAuthResponse, want string) {
	p.Helper()
	if a, want := p.poll(device), `{"error":"`+want+`"}`+"\n"; a.status != 400 || a.body != want {
		p.Errorf("answer = %d %s, want 400 %s", a.status, a.body, want)
	}
}

func TestDeviceFlow(t *testing.T) {
	p := serve(t, realms())
	device := p.startDevice("web")
	if device.Interval != 5 || device.VerificationURI != p.url+"/dev/device" ||
		device.VerificationURIComplete != device.VerificationURI+"?user_code="+device.UserCode {
		t.Errorf("device = %+v", device)
	}
	p.wantPoll(device, "authorization_pending")
	p.clock.add(4 * time.Second)
	p.wantPoll(device, "slow_down")
	p.clock.add(4 * time.Second) // since the last try, not since the last that was in time
	p.wantPoll(device, "slow_down")
	p.clock.add(5 * time.Second)
	p.wantPoll(device, "authorization_pending")

	ask := p.get(device.VerificationURI)
	if ask.status != 200 || !strings.Contains(ask.body, "Enter the code that the device shows.") {
		t.Fatalf("page = %d %s", ask.status, ask.body)
	}
	who := p.post(device.VerificationURI, url.Values{"user_code": {device.UserCode}})
	if who.status != 200 || !strings.Contains(who.body, "A device of web asks who you are; it shows "+device.UserCode) {
		t.Fatalf("page = %d %s", who.status, who.body)
	}
	action := p.action(who.body, device.VerificationURI)
	if a := p.post(action, url.Values{"persona": {"nobody"}}); a.status != 400 || !strings.Contains(a.body, "no persona has this name") {
		t.Errorf("page = %d %s", a.status, a.body)
	}
	if a := p.post(action, url.Values{"persona": {"agent"}}); a.status != 200 || !strings.Contains(a.body, "The device goes on by itself.") {
		t.Fatalf("page = %d %s", a.status, a.body)
	}

	p.clock.add(5 * time.Second)
	a := p.poll(device)
	var tokens struct {
		IDToken string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &tokens); err != nil || a.status != 200 {
		t.Fatalf("answer = %d %s", a.status, a.body)
	}
	want := p.own("dev", "web", map[string]any{"sub": "agent-7", "groups": []any{"agents"}})
	if diff := cmp.Diff(want, p.claims("dev", "web", tokens.IDToken)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	p.clock.add(5 * time.Second)
	p.wantPoll(device, "invalid_grant")
}

// A person types what the device shows, and not always as it is shown.
func TestUserCodeAsTyped(t *testing.T) {
	p := serve(t, realms())
	code := p.startDevice("phone").UserCode
	plain := strings.ReplaceAll(code, "-", "")
	for _, typed := range []string{code, plain, strings.ToLower(code), strings.ToLower(plain), " " + code + " ", plain[:4] + " " + plain[4:]} {
		t.Run(typed, func(t *testing.T) {
			a := p.in(t).post(p.url+"/dev/device", url.Values{"user_code": {typed}})
			if a.status != 200 || !strings.Contains(a.body, "it shows "+code) {
				t.Errorf("page = %d %s", a.status, a.body)
			}
		})
	}
}

func TestUserCodeRefused(t *testing.T) {
	p := serve(t, realms())
	used, late, fresh := p.startDevice("web"), p.startDevice("web"), p.startDevice("web")
	p.post(used.VerificationURIComplete, url.Values{"persona": {"agent"}})
	tests := []struct {
		name, path, code string
		after            time.Duration
	}{
		{"unknown", "/dev/device", "ABCD-EFGH", 0},
		{"half of one", "/dev/device", fresh.UserCode[:4], 0},
		{"of another realm", "/second/device", fresh.UserCode, 0},
		{"somebody has signed in", "/dev/device", used.UserCode, 0},
		{"expired", "/dev/device", late.UserCode, 10 * time.Minute},
	}
	for _, tt := range tests {
		for _, persona := range []string{"", "agent"} {
			t.Run(tt.name+"/"+persona, func(t *testing.T) {
				p := p.in(t)
				p.clock.add(tt.after)
				a := p.post(p.url+tt.path, url.Values{"user_code": {tt.code}, "persona": {persona}})
				if a.status != 400 || !strings.Contains(a.body, `role="alert">No device waits with this code.<`) || !strings.Contains(a.body, `name="user_code"`) {
					t.Errorf("page = %d %s", a.status, a.body)
				}
			})
		}
	}
}

// The code expires between the look at it and the sign-in: nobody is told that
// the device goes on.
func TestUserCodeExpiresMeanwhile(t *testing.T) {
	p := serve(t, realms())
	device := p.startDevice("web")
	p.clock.add(9*time.Minute + 59*time.Second)
	p.clock.step = time.Second
	a := p.post(device.VerificationURIComplete, url.Values{"persona": {"agent"}})
	if a.status != 400 || !strings.Contains(a.body, "No device waits with this code.") {
		t.Errorf("page = %d %s", a.status, a.body)
	}
}

func TestDevicePollRefused(t *testing.T) {
	p := serve(t, realms())
	device := p.startDevice("web")
	poll := url.Values{"grant_type": {deviceGrant}, "device_code": {device.DeviceCode}, "client_id": {"web"}}
	tests := []struct {
		name, path       string
		parameter, value string
	}{
		{"unknown device_code", "/dev/token", "device_code", "x"},
		{"no device_code", "/dev/token", "device_code", ""},
		{"the user_code for it", "/dev/token", "device_code", device.UserCode},
		{"another client", "/dev/token", "client_id", "phone"},
		{"another realm", "/second/token", "client_id", "web"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := p.in(t)
			form := url.Values{}
			for name, values := range poll {
				form[name] = values
			}
			form.Set(tt.parameter, tt.value)
			if a, want := p.post(p.url+tt.path, form), `{"error":"invalid_grant"}`+"\n"; a.status != 400 || a.body != want {
				t.Errorf("answer = %d %s, want 400 %s", a.status, a.body, want)
			}
		})
	}
	t.Run("expired, though somebody signed in", func(t *testing.T) {
		p := p.in(t)
		p.post(device.VerificationURIComplete, url.Values{"persona": {"agent"}})
		p.clock.add(10 * time.Minute)
		p.wantPoll(device, "expired_token")
	})
}

func TestDeviceAuthorizationRefused(t *testing.T) {
	p := serve(t, realms())
	if a, want := p.post(p.url+"/dev/device_authorization", url.Values{"client_id": {"other"}}), `{"error":"invalid_client"}`+"\n"; a.status != 400 || a.body != want {
		t.Errorf("answer = %d %s, want 400 %s", a.status, a.body, want)
	}
	for range 1000 {
		p.post(p.url+"/dev/device_authorization", url.Values{"client_id": {"web"}})
	}
	if a, want := p.post(p.url+"/dev/device_authorization", url.Values{"client_id": {"web"}}), `{"error":"temporarily_unavailable"}`+"\n"; a.status != 503 || a.body != want {
		t.Errorf("answer above the bound = %d %s, want 503 %s", a.status, a.body, want)
	}
	p.clock.add(10 * time.Minute)
	p.startDevice("web")
}

// Signing in as one persona changes none of the others' claims, nor the next
// one's.
func TestPersonasStayAsTheyAre(t *testing.T) {
	claims := map[string]any{"groups": []string{"agents"}}
	p := serve(t, []devidp.Realm{{Name: "dev", Audiences: []string{"web"}, Personas: []devidp.Persona{{Name: "agent", Claims: claims}}}})
	p.get(p.url + "/dev/id_token?persona=agent")
	p.post(p.url+"/dev/token", redemption(p.code()))
	if diff := cmp.Diff(map[string]any{"groups": []string{"agents"}}, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}
