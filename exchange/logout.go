package exchange

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange/internal/idtoken"
	"twilio-sts/exchange/internal/store"
)

// logoutPath is where providers post logout tokens; an issuer's name follows.
const logoutPath = "/backchannel-logout/"

// backchannelLogout answers a provider's notice that a session has ended, OpenID
// Connect Back-Channel Logout 1.0 §2.5 to §2.8.
func (s *snapshot) backchannelLogout(issuer *config.Issuer) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := &Request{Address: c.RealIP(), TraceID: contextTraceID(c)}
		token, err := readLogoutToken(c.Response(), c.Request())
		if err == nil {
			err = s.endSession(c.Request().Context(), r, issuer, token)
		}
		if err != nil {
			s.noteRefused("logout refused", r, err)
			return ofLogoutToken(err)
		}
		return c.NoContent(http.StatusOK)
	}
}

// readLogoutToken reads a form with a logout token. What else is in it has no
// meaning here, §2.5.
func readLogoutToken(w http.ResponseWriter, r *http.Request) (string, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return "", malformedWith(http.StatusMethodNotAllowed, "the logout endpoint takes POST")
	}
	if mediaType, err := mediaTypeOf(r.Header); err != nil || mediaType != formBody {
		return "", malformedWith(http.StatusUnsupportedMediaType, "the body must be "+formBody+", in UTF-8")
	}
	body, err := readLimited(w, r)
	if err != nil {
		return "", err
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return "", malformed("the form is not validly encoded")
	}
	tokens := values["logout_token"]
	if len(tokens) != 1 || tokens[0] == "" {
		return "", malformed("there must be one logout_token")
	}
	return tokens[0], nil
}

// ofLogoutToken is err as it is told to whoever sent a logout token.
func ofLogoutToken(err error) error {
	var ofRequest *requestError
	v, ok := verdicts[rules.ReasonOf(err)]
	if !ok || errors.As(err, &ofRequest) {
		return err
	}
	description := strings.Replace(v.description, "ID token", "logout token", 1)
	return &requestError{refusal: rules.Refusal{Reason: rules.ReasonOf(err), Detail: description}}
}

// endSession verifies a logout token and marks the sessions that it ends. The
// marks live for as long as an ID token of theirs may.
func (s *snapshot) endSession(ctx context.Context, r *Request, issuer *config.Issuer, raw string) error {
	l, err := s.verifier.VerifyLogout(ctx, issuer.Name, raw)
	if err != nil {
		return err
	}
	expires := s.now().Add(issuer.Policy.MaxLifetime + issuer.Policy.ClockSkew)
	var marks []store.Mark
	mark := func(what, value string) {
		marks = append(marks, store.Mark{Key: storeKey(what, l.IssuerID, value), At: l.IssuedAt, Expires: expires})
	}
	ofSubject := markOfSubject
	if l.SessionID != "" {
		mark(markOfSession, l.SessionID)
		ofSubject = markOfSubjectOnly
	}
	if l.Subject != "" {
		mark(ofSubject, l.Subject)
	}
	if err := s.store.Mark(ctx, marks); err != nil {
		return s.storeUnavailable(r, err)
	}
	// The marks come first: a token that was counted as used and marked nothing
	// could never be sent again. Marks that are set twice are as if set once.
	first, err := s.store.Use(ctx, storeKey("logout jti", l.IssuerID, l.ID), 1, l.Expires.Add(issuer.Policy.ClockSkew))
	if err != nil {
		return s.storeUnavailable(r, err)
	}
	if !first {
		return rules.Refuse(rules.Replayed, "a logout token with this jti was here before") // §2.6 (7)
	}
	subject := ""
	if l.Subject != "" {
		subject = s.audit.hash(l.IssuerID, l.Subject)
	}
	s.log.Info("logout", "issuer", issuer.Name, "session", l.SessionID != "", "subject_hash", subject, "address", r.Address, "trace_id", r.TraceID)
	return nil
}

// checkSession refuses a verified token whose session was marked as ended.
func (s *snapshot) checkSession(ctx context.Context, r *Request, token *idtoken.Token) error {
	if !s.cfg.Issuer(token.Issuer()).BackchannelLogout {
		return nil
	}
	claims := token.Claims()
	sub, _ := claims["sub"].(string)
	sid, _ := claims["sid"].(string)
	issuedAt, _ := claims.Time("iat")

	session := storeKey(markOfSession, token.IssuerID(), sid)
	if sid == "" {
		session = storeKey(markOfSubjectOnly, token.IssuerID(), sub)
	}
	at, err := s.store.Marked(ctx, storeKey(markOfSubject, token.IssuerID(), sub), session)
	switch {
	case err != nil:
		return s.unchecked(r, err)
	case marksSince(at[0], issuedAt), sid == "" && marksSince(at[1], issuedAt):
		return rules.Refuse(rules.LoggedOut, "the subject logged out after it was issued")
	case sid != "" && !at[1].IsZero():
		return rules.Refuse(rules.LoggedOut, "its session has ended")
	}
	return nil
}

// marksSince reports whether a mark is of issuedAt or later; that of the zero
// time is none.
func marksSince(mark, issuedAt time.Time) bool { return !mark.Before(issuedAt) }

// What a mark is of.
const (
	markOfSession     = "sid"
	markOfSubject     = "sub"             // whatever the session
	markOfSubjectOnly = "sub-without-sid" // in tokens that name no session
)

// storeKey is the key of an issuer's value. None of the parts before the last
// holds 0x00, so no two have one key.
func storeKey(what, issuerID, value string) [sha256.Size]byte {
	return sha256.Sum256([]byte(what + "\x00" + issuerID + "\x00" + value))
}
