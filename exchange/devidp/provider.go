package devidp

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	tokenLifetime  = time.Hour
	codeLifetime   = time.Minute
	deviceTime     = 10 * time.Minute
	pollInterval   = 5 * time.Second // RFC 8628 §3.5
	userCodeLength = 8               // of 32 letters and digits, 40 bits
	maxPending     = 1000            // codes and devices at one time
	maxForm        = 64 << 10        // bytes
	keyID          = "dev"
)

// Options are what a Provider needs.
type Options struct {
	Now     func() time.Time // nil: time.Now
	Realms  []Realm
	Origins []string // of pages that may sign people in, besides those on loopback; "*": any
}

// A Realm is one issuer. Its URL is the provider's, a slash and its name.
type Realm struct {
	Name      string
	Audiences []string // client ids; the first is the default
	Personas  []Persona
}

// A Persona is somebody to sign in as.
type Persona struct {
	Name        string         // fit for a URL
	Description string         // for people
	Claims      map[string]any // of the ID token; sub is the name unless given
}

// A Provider plays one or several OpenID providers. It is safe for concurrent
// use.
type Provider struct {
	url     string
	now     func() time.Time
	realms  []Realm
	origins []string
	key     *rsa.PrivateKey

	mu      sync.Mutex
	codes   map[string]*login  // by authorization code
	devices map[string]*device // by device code
}

// A login is somebody signed in at a client, not redeemed yet.
type login struct {
	realm, clientID, redirectURI string
	challenge, nonce             string
	claims                       map[string]any
	expires                      time.Time
}

// A device waits for somebody to sign in on another screen.
type device struct {
	realm, clientID, userCode string
	claims                    map[string]any // nil: nobody has yet
	expires, polled           time.Time
}

// New returns a provider whose issuers are below baseURL, which must be http
// on a loopback address.
func New(baseURL string, o Options) (*Provider, error) {
	u, err := url.Parse(baseURL)
	if err != nil || baseURL != "http://"+u.Host || !isLoopbackHost(u.Hostname()) {
		return nil, fmt.Errorf("devidp: %s is not http on loopback, and the development provider goes nowhere else", baseURL)
	}
	for _, r := range o.Realms {
		if len(r.Audiences) == 0 {
			return nil, fmt.Errorf("devidp: realm %s has no audience", r.Name)
		}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("devidp: making a key: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Provider{url: baseURL, now: o.Now, realms: o.Realms, origins: o.Origins, key: key, codes: map[string]*login{}, devices: map[string]*device{}}, nil
}

// Issuer returns the URL of a realm.
func (p *Provider) Issuer(realm string) string { return p.url + "/" + realm }

// Handler serves the provider. Besides callers from elsewhere it refuses
// requests for another host, so that no page on the web can reach it by a name
// that resolves to this machine.
func (p *Provider) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.index)
	mux.HandleFunc("GET /{realm}/.well-known/openid-configuration", open(p.discovery))
	mux.HandleFunc("GET /{realm}/jwks", open(p.jwks))
	mux.HandleFunc("GET /{realm}/id_token", p.forApps(p.idToken))
	mux.HandleFunc("GET /{realm}/authorize", p.authorize)
	mux.HandleFunc("POST /{realm}/authorize", p.authorize)
	mux.HandleFunc("POST /{realm}/token", p.forApps(p.token))
	mux.HandleFunc("OPTIONS /{realm}/token", p.forApps(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	mux.HandleFunc("POST /{realm}/device_authorization", p.forApps(p.deviceAuthorization))
	mux.HandleFunc("GET /{realm}/device", p.device)
	mux.HandleFunc("POST /{realm}/device", p.device)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !peer.Addr().Unmap().IsLoopback() || !isLoopbackHost(host) {
			http.Error(w, "the development provider is for this machine alone", http.StatusForbidden)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		mux.ServeHTTP(w, r)
	})
}

func isLoopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// open lets pages of any origin read the answer.
func open(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "*")
		next(w, r)
	}
}

// forApps lets pages of the apps under development read the answer. Any other
// page on the web could get a persona's token by it, whose claims a test case may
// have from somebody: at once, or by a device that it pretends to be and signs
// in by a form.
func (p *Provider) forApps(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Vary", "Origin")
		if origin := r.Header.Get("Origin"); p.isApp(origin) {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Headers", "*")
		}
		next(w, r)
	}
}

// isApp reports whether an origin is on loopback, or one that is listed.
func (p *Provider) isApp(origin string) bool {
	if origin == "" {
		return false
	}
	if slices.Contains(p.origins, origin) || slices.Contains(p.origins, "*") {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && isLoopbackHost(u.Hostname())
}

// realm returns the realm of a request, or answers 404.
func (p *Provider) realm(w http.ResponseWriter, r *http.Request) *Realm {
	name := r.PathValue("realm")
	for i := range p.realms {
		if p.realms[i].Name == name {
			return &p.realms[i]
		}
	}
	p.fail(w, http.StatusNotFound, "There is no issuer of this name here.")
	return nil
}

func (p *Provider) discovery(w http.ResponseWriter, r *http.Request) {
	realm := p.realm(w, r)
	if realm == nil {
		return
	}
	issuer := p.Issuer(realm.Name)
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                         issuer,
		"authorization_endpoint":                         issuer + "/authorize",
		"token_endpoint":                                 issuer + "/token",
		"device_authorization_endpoint":                  issuer + "/device_authorization",
		"jwks_uri":                                       issuer + "/jwks",
		"response_types_supported":                       []string{"code"},
		"grant_types_supported":                          []string{"authorization_code", deviceGrant},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"token_endpoint_auth_methods_supported":          []string{"none"},
		"code_challenge_methods_supported":               []string{"S256"},
		"scopes_supported":                               []string{"openid"},
		"authorization_response_iss_parameter_supported": true,
	})
}

func (p *Provider) jwks(w http.ResponseWriter, r *http.Request) {
	if p.realm(w, r) == nil {
		return
	}
	encode := base64.RawURLEncoding.EncodeToString
	writeJSON(w, http.StatusOK, map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "kid": keyID, "alg": "RS256", "use": "sig",
		"n": encode(p.key.N.Bytes()), "e": encode(big.NewInt(int64(p.key.E)).Bytes()),
	}}})
}

// idToken hands out a persona's ID token as text, for curl.
func (p *Provider) idToken(w http.ResponseWriter, r *http.Request) {
	realm := p.realm(w, r)
	if realm == nil {
		return
	}
	claims, err := realm.persona(r.URL.Query().Get("persona"))
	if err == nil {
		var token string
		if token, err = p.sign(realm, r.URL.Query().Get("audience"), claims, ""); err == nil {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprintln(w, token)
			return
		}
	}
	http.Error(w, err.Error(), http.StatusBadRequest)
}

// persona returns the claims of a persona by name.
func (r *Realm) persona(name string) (map[string]any, error) {
	var names []string
	for _, persona := range r.Personas {
		if persona.Name == name {
			claims := maps.Clone(persona.Claims)
			if claims == nil {
				claims = map[string]any{}
			}
			if claims["sub"] == nil {
				claims["sub"] = name
			}
			return claims, nil
		}
		names = append(names, persona.Name)
	}
	return nil, fmt.Errorf("no persona has this name; there are %s", strings.Join(names, ", "))
}

// sign makes an ID token for a client, the realm's first when clientID is "".
// What the provider says itself, the claims cannot.
func (p *Provider) sign(realm *Realm, clientID string, claims map[string]any, nonce string) (string, error) {
	if clientID == "" {
		clientID = realm.Audiences[0]
	}
	if !slices.Contains(realm.Audiences, clientID) {
		return "", fmt.Errorf("no client has this id; there are %s", strings.Join(realm.Audiences, ", "))
	}
	now := p.now()
	payload := maps.Clone(claims)
	maps.Copy(payload, map[string]any{
		"iss": p.Issuer(realm.Name), "aud": clientID, "azp": clientID,
		"iat": now.Unix(), "auth_time": now.Unix(), "exp": now.Add(tokenLifetime).Unix(),
	})
	delete(payload, "nbf")
	if payload["jti"] == nil {
		payload["jti"] = randomText()
	}
	if nonce != "" {
		payload["nonce"] = nonce
	}
	header, err := json.Marshal(map[string]string{"alg": "RS256", "kid": keyID, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode(header) + "." + encode(body)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, p.key, sha256Hash, digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + encode(signature), nil
}

// token redeems an authorization code or a device code.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	realm := p.realm(w, r)
	if realm == nil {
		return
	}
	var signedIn *login
	var code string // of the error, RFC 6749 §5.2
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		signedIn, code = p.redeem(realm, r)
	case deviceGrant:
		signedIn, code = p.poll(realm, r)
	default:
		code = "unsupported_grant_type"
	}
	if code != "" {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": code})
		return
	}
	idToken, err := p.sign(realm, signedIn.clientID, signedIn.claims, signedIn.nonce)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": randomText(), "token_type": "Bearer", "expires_in": int(tokenLifetime / time.Second), "id_token": idToken, "scope": "openid",
	})
}

// redeem takes an authorization code, once, against the PKCE verifier (RFC
// 7636 §4.6).
func (p *Provider) redeem(realm *Realm, r *http.Request) (*login, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	switch {
	case l == nil, !p.now().Before(l.expires), l.realm != realm.Name,
		l.clientID != clientID(r), l.redirectURI != r.PostFormValue("redirect_uri"),
		l.challenge != base64.RawURLEncoding.EncodeToString(challenge[:]):
		return nil, "invalid_grant"
	}
	return l, ""
}

// clientID returns the client that a request of the token endpoint is from. A
// library that does not know how the client authenticates tries the header
// first, and a code is spent by the first try. Clients have no secret here, so
// any will do.
func clientID(r *http.Request) string {
	if name, _, ok := r.BasicAuth(); ok {
		if id, err := url.QueryUnescape(name); err == nil { // RFC 6749 §2.3.1
			return id
		}
	}
	return r.PostFormValue("client_id")
}

// newCode keeps a login under a new code.
func (p *Provider) newCode(l *login) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.expires = p.now().Add(codeLifetime)
	maps.DeleteFunc(p.codes, func(_ string, old *login) bool { return !p.now().Before(old.expires) })
	if len(p.codes) >= maxPending {
		return "", errors.New("too many logins are on their way")
	}
	code := randomText()
	p.codes[code] = l
	return code, nil
}

func randomText() string { return rand.Text() }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return // the client has gone
	}
}

// freeClaims reads the claims of somebody else, as JSON.
func freeClaims(text string) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var claims map[string]any
	if err := d.Decode(&claims); err != nil || claims == nil {
		return nil, errors.New("the claims are not a JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something stands behind the claims")
	}
	if sub, _ := claims["sub"].(string); sub == "" {
		return nil, errors.New("the claims have no sub")
	}
	return claims, nil
}
