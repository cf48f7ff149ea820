package exchange_test

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGranted has the forms of a request that is granted, and what each asks
// for.
func TestGranted(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	good := s.token(nil)
	bearer := headers("Authorization", "Bearer "+good)
	bearerForm := headers("Authorization", "Bearer "+good, "Content-Type", formType)
	bearerJSON := headers("Authorization", "Bearer "+good, "Content-Type", jsonType)
	asForm := headers("Content-Type", formType)
	support := s.token(m{"groups": []string{"support"}})

	onlyChat := granted("Bearer", 3600, 3240, "chat", "idp__auth0_7C1", "{"+chatGrant+"}", "us1")
	jwtType := granted("N_A", 3600, 3240, "chat sync", "idp__auth0_7C1", "{"+chatGrant+","+syncGrant+"}", "us1")
	room := `"video":{"room":"support-blue"}`
	for _, test := range []struct {
		name   string
		header http.Header
		body   string
		want   string
	}{
		{"form", asForm, form(good), usualAnswer},
		{"form, charset", headers("Content-Type", formType+"; charset=UTF-8"), form(good), usualAnswer},
		{"form, type jwt", asForm, strings.Replace(form(good), "id_token", "jwt", 1), usualAnswer},
		{"bearer alone", bearer, "", usualAnswer},
		{"bearer, scheme in lower case", headers("Authorization", "bearer "+good), "", usualAnswer},
		{"bearer and empty form", bearerForm, "", usualAnswer},
		{"bearer and form", bearerForm, "scope=chat", onlyChat},
		{"bearer and empty JSON", bearerJSON, "", usualAnswer},
		{"bearer and empty object", bearerJSON, "{}", usualAnswer},
		{"bearer and JSON", bearerJSON, `{"scope":"chat"}`, onlyChat},

		{"client_id", asForm, form(good, "client_id", "app"), usualAnswer},
		{"unknown parameter", asForm, form(good, "colour", "blue"), usualAnswer},
		{"empty parameters", asForm, form(good, "scope", "", "platform", "", "actor_token", "", "audience", "", "requested_token_type", ""), usualAnswer},
		{"empty member", bearerJSON, `{"scope":"","actor_token":""}`, usualAnswer},
		{"parameter with a default", asForm, form(good, "platform", "ios"), usualAnswer},

		{"scope", asForm, form(good, "scope", "chat"), onlyChat},
		{"scope in another order", asForm, form(good, "scope", "sync chat"), usualAnswer},
		{"scope word twice", asForm, form(good, "scope", "chat chat"), onlyChat},
		{"requested access_token", asForm, form(good, "requested_token_type", "urn:ietf:params:oauth:token-type:access_token"), usualAnswer},
		{"requested jwt", asForm, form(good, "requested_token_type", "urn:ietf:params:oauth:token-type:jwt"), jwtType},
		{"bearer, requested jwt", bearerJSON, `{"requested_token_type":"urn:ietf:params:oauth:token-type:jwt"}`, jwtType},

		{"parameter in a grant", asForm, form(support, "room", "blue"),
			granted("Bearer", 14400, 12960, "chat sync video", "idp__auth0_7C1", "{"+chatGrant+","+syncGrant+","+room+"}", "us1")},
		{"scope leaves the ttl as it is", asForm, form(support, "room", "blue", "scope", "chat"),
			granted("Bearer", 14400, 12960, "chat", "idp__auth0_7C1", "{"+chatGrant+"}", "us1")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, s.send(t, "POST", "/token", test.header, test.body)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRequestRefused has what is wrong with a request whatever its token is.
func TestRequestRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	good := s.token(nil)
	asForm := headers("Content-Type", formType)
	bearer := headers("Authorization", "Bearer "+good)
	bearerForm := headers("Authorization", "Bearer "+good, "Content-Type", formType)
	bearerJSON := headers("Authorization", "Bearer "+good, "Content-Type", jsonType)
	badMediaType := malformed(415, "the body must be application/x-www-form-urlencoded, or with a bearer token application/json, in UTF-8")
	badMethod := strings.Replace(malformed(405, "the token endpoint takes POST"), "405\n", "405\nAllow: POST, OPTIONS\n", 1)
	badObject := malformed(400, "the body is not a JSON object with distinct members that are strings")
	badTarget := refusalWith(400, "invalid_target", "resource and audience are not supported", "invalid_target", "fix_request")
	badScope := refusalWith(400, "invalid_scope", "scope asks for what is not granted", "invalid_scope", "fix_request")
	badParameter := refusalWith(400, "invalid_request", "a parameter's value is not accepted", "invalid_parameter", "fix_request")
	badType := refusalWith(400, "invalid_request", "this kind of token is not accepted", "unsupported_token", "fix_request")
	notFound := malformed(404, "not found")
	for _, test := range []struct {
		name   string
		method string // POST when empty
		path   string // /token when empty
		header http.Header
		body   string
		want   string
	}{
		{"GET", "GET", "", nil, "", badMethod},
		{"HEAD", "HEAD", "", nil, "", badMethod[:strings.Index(badMethod, "\n\n")+2]},
		{"PUT", "PUT", "", asForm, form(good), badMethod},
		{"PATCH", "PATCH", "", bearer, "", badMethod},
		{"DELETE", "DELETE", "", bearer, "", badMethod},
		{"PROPFIND", "PROPFIND", "", bearer, "", badMethod},
		{"no media type", "", "", nil, form(good), malformed(415, "the body has no Content-Type")},
		{"text/plain", "", "", headers("Content-Type", "text/plain"), form(good), badMediaType},
		{"multipart", "", "", headers("Content-Type", "multipart/form-data; boundary=x"), form(good), badMediaType},
		{"another charset", "", "", headers("Content-Type", formType+"; charset=latin1"), form(good), badMediaType},
		{"unreadable media type", "", "", headers("Content-Type", formType+"; charset"), form(good), badMediaType},
		{"two media types", "", "", headers("Content-Type", formType, "Content-Type", jsonType), form(good), badMediaType},
		{"token in the URL", "", "/token?subject_token=" + good, asForm, form(good), malformed(400, "the token endpoint takes no query string")},
		{"access_token in the URL", "", "/token?access_token=" + good, nil, "", malformed(400, "the token endpoint takes no query string")},
		{"question mark", "", "/token?", asForm, form(good), malformed(400, "the token endpoint takes no query string")},
		{"slash after it", "", "/token/", asForm, form(good), notFound},
		{"two slashes", "", "//token", asForm, form(good), notFound},
		{"capital", "", "/Token", asForm, form(good), notFound},

		{"nothing", "", "", nil, "", malformed(400, "grant_type is missing")},
		{"no grant_type", "", "", asForm, "subject_token=" + good, malformed(400, "grant_type is missing")},
		{"another grant_type", "", "", asForm, "grant_type=client_credentials",
			refusalWith(400, "unsupported_grant_type", "grant_type is not urn:ietf:params:oauth:grant-type:token-exchange", "unsupported_grant_type", "fix_request")},
		{"no subject_token", "", "", asForm, form(""), malformed(400, "subject_token is missing")},
		{"no subject_token_type", "", "", asForm, strings.Replace(form(good), "subject_token_type=", "x=", 1), malformed(400, "subject_token_type is missing")},
		{"another subject_token_type", "", "", asForm, strings.Replace(form(good), "id_token", "access_token", 1), badType},
		{"another requested_token_type", "", "", asForm, form(good, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
			malformed(400, "requested_token_type is neither urn:ietf:params:oauth:token-type:access_token nor urn:ietf:params:oauth:token-type:jwt")},
		{"actor_token", "", "", asForm, form(good, "actor_token", "x"), malformed(400, "actor tokens are not supported")},
		{"actor_token by bearer", "", "", bearerJSON, `{"actor_token":"x"}`, malformed(400, "actor tokens are not supported")},
		{"audience", "", "", asForm, form(good, "audience", "x"), badTarget},
		{"two audiences", "", "", asForm, form(good, "audience", "x", "audience", "y"), badTarget},
		{"two resources, one empty", "", "", asForm, form(good, "resource", "", "resource", "https://x.example"), badTarget},
		{"repeated", "", "", asForm, form(good, "scope", "chat", "scope", "chat"), malformed(400, "a parameter is repeated")},
		{"repeated, unknown", "", "", asForm, form(good, "x", "1", "x", "2"), malformed(400, "a parameter is repeated")},
		{"repeated, one empty", "", "", asForm, form(good, "room", "", "room", "blue"), malformed(400, "a parameter is repeated")},
		{"repeated member", "", "", bearerJSON, `{"room":"a","room":"a"}`, badObject},
		{"bad escape", "", "", asForm, form(good) + "&x=%zz", malformed(400, "the form is not validly encoded")},
		{"not UTF-8", "", "", asForm, form(good, "x", "\xff"), malformed(400, "the form is not valid UTF-8")},

		{"Basic", "", "", headers("Authorization", "Basic YTpi"), "", malformed(400, "Authorization must be Bearer and an ID token")},
		{"DPoP", "", "", headers("Authorization", "DPoP "+good), "", malformed(400, "Authorization must be Bearer and an ID token")},
		{"Basic and form", "", "", headers("Authorization", "Basic YTpi", "Content-Type", formType), form(good), malformed(400, "Authorization must be Bearer and an ID token")},
		{"bearer of nothing", "", "", headers("Authorization", "Bearer"), "", malformed(400, "Authorization must be Bearer and an ID token")},
		{"two bearers", "", "", headers("Authorization", "Bearer "+good, "Authorization", "Bearer "+good), "", malformed(400, "Authorization must be Bearer and an ID token")},
		{"both at once", "", "", bearerForm, form(good), malformed(400, "send either Authorization: Bearer or grant_type, not both")},
		{"bearer and subject_token", "", "", bearerJSON, `{"subject_token":"x"}`, malformed(400, "send either Authorization: Bearer or subject_token, not both")},
		{"bearer and subject_token_type", "", "", bearerForm, "subject_token_type=x", malformed(400, "send either Authorization: Bearer or subject_token_type, not both")},
		{"JSON without bearer", "", "", headers("Content-Type", jsonType), `{}`, malformed(400, "a JSON body goes with Authorization: Bearer and the ID token; otherwise send a form")},
		{"JSON list", "", "", bearerJSON, `["chat"]`, badObject},
		{"JSON number", "", "", bearerJSON, `{"room":1}`, badObject},
		{"JSON null", "", "", bearerJSON, `{"room":null}`, badObject},
		{"JSON and more", "", "", bearerJSON, `{}x`, badObject},
		{"JSON cut off", "", "", bearerJSON, `{"room":`, badObject},
		{"JSON member without a name", "", "", bearerJSON, `{"room":"a",}`, badObject},

		{"parameter against its pattern", "", "", asForm, form(good, "room", "a/b"), badParameter},
		{"parameter against its pattern by bearer", "", "", bearerJSON, `{"room":"a\nb"}`, badParameter},
		{"parameter not in its enum", "", "", asForm, form(good, "platform", "symbian"), badParameter},
		{"unknown scope word", "", "", asForm, form(good, "scope", "chat fax"), badScope},
		{"scope word that is not granted", "", "", asForm, form(good, "scope", "chat video"), badScope},
		{"scope word in capitals", "", "", asForm, form(good, "scope", "CHAT"), badScope},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			method, path := test.method, test.path
			if method == "" {
				method = "POST"
			}
			if path == "" {
				path = "/token"
			}
			if diff := cmp.Diff(test.want, s.send(t, method, path, test.header, test.body)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSizes has the largest that is taken and the smallest that is not.
func TestSizes(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	body := form(s.token(nil)) + "&padding="
	padded := func(size int) string { return body + strings.Repeat("x", size-len(body)) }
	badToken := refusalWith(400, "invalid_request", "the ID token is malformed", "malformed_token", "fix_request")
	tooLarge := malformed(413, "the body is larger than 32 KiB")
	chunked := func(t *testing.T, body string) string {
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/token", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = headers("Content-Type", formType, "Traceparent", traceparent)
		return answerText(t, http.DefaultClient, r)
	}
	bearer := func(t *testing.T, token string) string {
		return s.send(t, "POST", "/token", headers("Authorization", "Bearer "+token), "")
	}
	for _, test := range []struct {
		name string
		got  string
		want string
	}{
		{"body of 32 KiB", s.post(t, padded(32<<10)), usualAnswer},
		{"body of 32 KiB and a byte", s.post(t, padded(32<<10+1)), tooLarge},
		{"body of 1 MiB", s.post(t, padded(1<<20)), tooLarge},
		{"chunked body of 32 KiB", chunked(t, padded(32<<10)), usualAnswer},
		{"chunked body of 32 KiB and a byte", chunked(t, padded(32<<10+1)), tooLarge},
		{"token of 16 KiB", s.post(t, form(s.tokenOfSize(t, 16<<10))), usualAnswer},
		{"token of 16 KiB and a byte", s.post(t, form(s.tokenOfSize(t, 16<<10+1))), badToken},
		{"bearer token of 16 KiB", bearer(t, s.tokenOfSize(t, 16<<10)), usualAnswer},
		{"bearer token of 16 KiB and a byte", bearer(t, s.tokenOfSize(t, 16<<10+1)), badToken},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// tokenOfSize returns a good token of so many bytes.
func (s *site) tokenOfSize(t *testing.T, size int) string {
	t.Helper()
	// No text has a base64 length of 4n+1, so the header's length helps.
	unpadded := len(toJSON(claims(m{"pad": ""})))
	for _, extra := range []string{"", "x"} {
		h := s.key.Header()
		h["x"] = extra
		header := base64.RawURLEncoding.EncodedLen(len(toJSON(h)))
		for pad := size/4*3 - 600; pad < size/4*3; pad++ {
			const dotsAndSignature = 2 + 86
			if header+base64.RawURLEncoding.EncodedLen(unpadded+pad)+dotsAndSignature == size {
				return s.key.Sign(h, claims(m{"pad": strings.Repeat("x", pad)}))
			}
		}
	}
	t.Fatalf("no token has %d bytes", size)
	return ""
}

// TestBrokenRequests has requests that no HTTP library sends.
func TestBrokenRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	for _, test := range []struct {
		name, request string
		want          string
	}{
		{"body shorter than announced",
			"POST /token HTTP/1.1\r\nHost: x\r\nTraceparent: " + traceparent + "\r\nContent-Type: " + formType + "\r\nContent-Length: 100\r\n\r\ngrant_type=",
			malformed(400, "the body could not be read")},
		{"chunk without a size",
			"POST /token HTTP/1.1\r\nHost: x\r\nTraceparent: " + traceparent + "\r\nContent-Type: " + formType + "\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
			malformed(400, "the body could not be read")},
		{"HTTP/1.0 without a host",
			"POST /token HTTP/1.0\r\nTraceparent: " + traceparent + "\r\n\r\n",
			malformed(400, "grant_type is missing")},
		{"two lengths",
			"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
			"400\nContent-Type: text/plain; charset=utf-8\n\n400 Bad Request"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, s.sendRaw(t, test.request)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// sendRaw sends bytes, says that no more come, and returns the answer's text.
func (s *site) sendRaw(t *testing.T, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := responseText(t, resp)
	return text
}

func TestUnknownMethod(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	if diff := cmp.Diff(s.send(t, "GET", "/token", nil, ""), s.send(t, "BREW", "/token", nil, "")); diff != "" {
		t.Errorf("GET and BREW are answered differently (-GET +BREW):\n%s", diff)
	}
}
