package devidp

import (
	"crypto"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	_ "embed"
)

const (
	sha256Hash  = crypto.SHA256
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"
)

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Parse(pageHTML))

// A view is what the page shows.
type view struct {
	Title, Lead, Error string
	Realms             []realmView // the index
	Action             string      // where the personas' buttons go; "" shows none
	Personas           []personaView
	UserCode           string // asks for one when AskCode
	AskCode            bool
	Done               bool
}

type realmView struct {
	Name, Issuer string
	Audiences    string
	Personas     []personaView
}

type personaView struct {
	Name, Description, Claims string
	TokenURL                  string
}

func (p *Provider) show(w http.ResponseWriter, status int, v view) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	if err := page.Execute(w, v); err != nil {
		return // the client has gone
	}
}

func (p *Provider) fail(w http.ResponseWriter, status int, message string) {
	p.show(w, status, view{Title: "That did not work", Error: message})
}

func (p *Provider) index(w http.ResponseWriter, _ *http.Request) {
	v := view{Title: "Development identity provider", Lead: "Personas in the place of people, on this machine alone. An app signs in at an issuer by authorization code with PKCE or by the device flow; for curl, a persona's ID token is a link away."}
	for i := range p.realms {
		r := &p.realms[i]
		v.Realms = append(v.Realms, realmView{Name: r.Name, Issuer: p.Issuer(r.Name), Audiences: strings.Join(r.Audiences, ", "), Personas: p.personas(r)})
	}
	p.show(w, http.StatusOK, v)
}

func (p *Provider) personas(r *Realm) []personaView {
	var out []personaView
	for _, persona := range r.Personas {
		claims, err := json.MarshalIndent(persona.Claims, "", "  ")
		if err != nil {
			claims = []byte("{}")
		}
		out = append(out, personaView{persona.Name, persona.Description, string(claims), p.Issuer(r.Name) + "/id_token?persona=" + url.QueryEscape(persona.Name)})
	}
	return out
}

// authorize is the authorization endpoint, RFC 6749 §4.1 with PKCE by S256: it
// shows the personas, and sends the chosen one back to the app. The request
// stays in the query, the choice is posted.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	realm := p.realm(w, r)
	if realm == nil {
		return
	}
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	switch {
	case !slices.Contains(realm.Audiences, q.Get("client_id")):
		p.fail(w, http.StatusBadRequest, "No app has this client_id here; there are "+strings.Join(realm.Audiences, ", ")+".")
		return
	// http and https lead back to this machine alone; an app's own scheme leads
	// to an app.
	case err != nil || !redirect.IsAbs() || redirect.Fragment != "" || isScript(redirect.Scheme) ||
		(redirect.Scheme == "http" || redirect.Scheme == "https") && !isLoopbackHost(redirect.Hostname()):
		p.fail(w, http.StatusBadRequest, "redirect_uri does not lead back to an app on this machine.")
		return
	}
	answer := redirect.Query()
	answer.Set("iss", p.Issuer(realm.Name)) // RFC 9207
	if q.Has("state") {
		answer.Set("state", q.Get("state"))
	}
	back := func(name, value string) {
		answer.Set(name, value)
		redirect.RawQuery = answer.Encode()
		http.Redirect(w, r, redirect.String(), http.StatusSeeOther) // RFC 9700 §4.12
	}
	switch {
	case q.Get("response_type") != "code":
		back("error", "unsupported_response_type")
		return
	case q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43:
		back("error", "invalid_request")
		return
	case q.Get("prompt") == "none": // nobody stays signed in here
		back("error", "login_required")
		return
	}
	if r.Method != http.MethodPost {
		p.choose(w, http.StatusOK, realm, q.Get("client_id")+" asks who you are", r.URL.RequestURI(), "")
		return
	}
	claims, err := chosen(realm, r)
	if err != nil {
		p.choose(w, http.StatusBadRequest, realm, q.Get("client_id")+" asks who you are", r.URL.RequestURI(), err.Error())
		return
	}
	code, err := p.newCode(&login{
		realm: realm.Name, clientID: q.Get("client_id"), redirectURI: q.Get("redirect_uri"),
		challenge: q.Get("code_challenge"), nonce: q.Get("nonce"), claims: claims,
	})
	if err != nil {
		back("error", "temporarily_unavailable")
		return
	}
	back("code", code)
}

// isScript reports whether a browser would run, and not open, a URL of this
// scheme.
func isScript(scheme string) bool {
	return slices.Contains([]string{"javascript", "data", "vbscript", "file", "blob", "about"}, scheme)
}

func (p *Provider) choose(w http.ResponseWriter, status int, realm *Realm, lead, action, problem string) {
	p.show(w, status, view{Title: "Sign in as", Lead: lead, Error: problem, Action: action, Personas: p.personas(realm)})
}

// chosen returns the claims of the persona, or of somebody else, that a form
// names.
func chosen(realm *Realm, r *http.Request) (map[string]any, error) {
	if text := r.PostFormValue("claims"); text != "" {
		return freeClaims(text)
	}
	return realm.persona(r.PostFormValue("persona"))
}

// deviceAuthorization begins the device flow, RFC 8628 §3.1.
func (p *Provider) deviceAuthorization(w http.ResponseWriter, r *http.Request) {
	realm := p.realm(w, r)
	if realm == nil {
		return
	}
	if !slices.Contains(realm.Audiences, r.PostFormValue("client_id")) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_client"})
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	maps.DeleteFunc(p.devices, func(_ string, d *device) bool { return !now.Before(d.expires) })
	if len(p.devices) >= maxPending {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "temporarily_unavailable"})
		return
	}
	d := &device{realm: realm.Name, clientID: r.PostFormValue("client_id"), userCode: typedCode(randomText()[:userCodeLength]), expires: now.Add(deviceTime)}
	deviceCode := randomText()
	p.devices[deviceCode] = d
	uri := p.Issuer(realm.Name) + "/device"
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code": deviceCode, "user_code": d.userCode,
		"verification_uri": uri, "verification_uri_complete": uri + "?user_code=" + d.userCode,
		"expires_in": int(deviceTime.Seconds()), "interval": int(pollInterval.Seconds()),
	})
}

// device is the page where a person enters the code that the device shows, and
// signs in.
func (p *Provider) device(w http.ResponseWriter, r *http.Request) {
	realm := p.realm(w, r)
	if realm == nil {
		return
	}
	userCode := typedCode(r.FormValue("user_code"))
	ask := view{Title: "Connect a device", Lead: "Enter the code that the device shows.", AskCode: true}
	if userCode == "" {
		p.show(w, http.StatusOK, ask)
		return
	}
	ask.Error = "No device waits with this code."
	clientID, ok := p.waiting(realm, userCode, nil)
	if !ok {
		p.show(w, http.StatusBadRequest, ask)
		return
	}
	action := "device?user_code=" + url.QueryEscape(userCode)
	if r.Method != http.MethodPost || r.PostFormValue("persona") == "" && r.PostFormValue("claims") == "" {
		p.choose(w, http.StatusOK, realm, "A device of "+clientID+" asks who you are; it shows "+userCode, action, "")
		return
	}
	claims, err := chosen(realm, r)
	if err != nil {
		p.choose(w, http.StatusBadRequest, realm, "A device of "+clientID+" asks who you are; it shows "+userCode, action, err.Error())
		return
	}
	if _, ok := p.waiting(realm, userCode, claims); !ok {
		p.show(w, http.StatusBadRequest, ask)
		return
	}
	p.show(w, http.StatusOK, view{Title: "Connected", Lead: "The device goes on by itself. This page can be closed.", Done: true})
}

// typedCode returns a user code as the device shows it, from what a person
// made of it (RFC 8628 §6.1).
func typedCode(text string) string {
	text = strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(text))
	if len(text) == userCodeLength {
		text = text[:userCodeLength/2] + "-" + text[userCodeLength/2:]
	}
	return text
}

// waiting finds the device that shows userCode and has nobody signed in yet,
// and signs somebody in where claims are given.
func (p *Provider) waiting(realm *Realm, userCode string, claims map[string]any) (clientID string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.devices {
		if d.userCode == userCode && d.realm == realm.Name && d.claims == nil && p.now().Before(d.expires) {
			d.claims = claims
			return d.clientID, true
		}
	}
	return "", false
}

// poll answers a device that asks whether somebody has signed in, RFC 8628
// §3.5.
func (p *Provider) poll(realm *Realm, r *http.Request) (*login, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.devices[r.PostFormValue("device_code")]
	now := p.now()
	switch {
	case d == nil, d.realm != realm.Name, d.clientID != clientID(r):
		return nil, "invalid_grant"
	case !now.Before(d.expires):
		return nil, "expired_token"
	case !d.polled.IsZero() && now.Sub(d.polled) < pollInterval:
		d.polled = now
		return nil, "slow_down"
	case d.claims == nil:
		d.polled = now
		return nil, "authorization_pending"
	}
	delete(p.devices, r.PostFormValue("device_code"))
	return &login{clientID: d.clientID, claims: d.claims}, ""
}
