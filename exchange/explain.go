package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange/internal/idtoken"
)

// explainWait bounds how long Explain waits for an issuer's keys.
const explainWait = 10 * time.Second

// An ExplainRequest holds a token, or claims for a named issuer.
type ExplainRequest struct {
	Token      string            // a compact JWT; "" when Claims are given
	Claims     []byte            // a JSON object; what a test case may leave out may be left out here
	Issuer     string            // an issuer's name; needed with Claims when there are several
	Params     map[string]string // request parameters
	Scope      []string          // kinds of grant; empty means all
	Unverified bool              // go on with a token that does not verify
}

// An Explanation is what an exchange would come to, and why.
type Explanation struct {
	Issuer    string // its name; "" when unknown
	Client    string
	Claims    rules.Claims
	FromToken bool  // a token was given, not claims
	Verified  error // with FromToken: nil, or why the token does not verify
	// Notes tell what of a token and of the configuration do not go together.
	// They hold values of iss, aud and azp: for who has the token anyway.
	Notes    []string
	Decision *rules.Decision
	Refusal  error // nil: granted
	Trace    rules.Trace
}

// ErrWhichIssuer means that an explanation needs to be told whose claims they
// are.
var ErrWhichIssuer = errors.New("name the issuer these claims are from")

// Explain runs an exchange up to, and without, the minting. Its error means
// that there is nothing to explain, not that the person is refused: keys that
// cannot be had say nothing of who brings a token.
func (s *Service) Explain(ctx context.Context, r ExplainRequest) (*Explanation, error) {
	return s.current.Load().explain(ctx, r)
}

func (s *snapshot) explain(ctx context.Context, r ExplainRequest) (*Explanation, error) {
	x := &Explanation{FromToken: r.Token != ""}
	input := rules.Input{Scope: r.Scope, Now: s.now()}
	var err error
	if x.FromToken {
		err = s.explainToken(ctx, r, x, &input)
	} else {
		err = s.explainClaims(r, x, &input)
	}
	if err != nil || x.Refusal != nil {
		return x, err
	}
	x.Issuer, x.Client, x.Claims = input.Issuer, input.Client, input.Claims
	if input.Request, err = s.cfg.Rules.Parameters(r.Params); err != nil {
		x.Refusal = err
		return x, nil
	}
	x.Decision, x.Refusal = s.cfg.Rules.Decide(&input, &x.Trace)
	return x, nil
}

// explainToken fills in input from a token, verified or, where asked for, not.
func (s *snapshot) explainToken(ctx context.Context, r ExplainRequest, x *Explanation, input *rules.Input) error {
	token, err := s.verifyPatiently(ctx, r.Token)
	if err == nil {
		input.Issuer, input.IssuerID = token.Issuer(), token.IssuerID()
		input.Client, input.Claims = token.Client(), token.Claims()
		return nil
	}
	x.Verified = err
	_, claims, unreadable := idtoken.Inspect(r.Token)
	iss, _ := claims["iss"].(string)
	x.Notes = s.notes(err, claims, s.issuerOf(iss))
	switch {
	case rules.ReasonOf(err) == rules.KeysUnavailable && !r.Unverified:
		return errors.New(strings.Join(x.Notes, "; "))
	case !r.Unverified:
		x.Refusal = err
		return nil
	case unreadable != nil:
		return fmt.Errorf("reading the token: %w", unreadable)
	}
	issuer, err := s.explainedIssuer(r.Issuer, iss)
	if err != nil {
		return err
	}
	input.Issuer, input.IssuerID, input.Claims = issuer.Name, issuer.Policy.IssuerID(iss), claims
	// Its error was said already, as the reason why the token does not verify.
	input.Client, _ = s.cfg.Rules.CheckClaims(issuer.Name, claims, input.Now)
	return nil
}

// explainClaims fills in input from claims that somebody wrote down.
func (s *snapshot) explainClaims(r ExplainRequest, x *Explanation, input *rules.Input) error {
	claims, err := idtoken.ParseClaims(r.Claims)
	if err != nil {
		return fmt.Errorf("reading the claims: %w", err)
	}
	iss, _ := claims["iss"].(string)
	issuer, err := s.explainedIssuer(r.Issuer, iss)
	if err != nil {
		return err
	}
	claims = issuer.Policy.Complete(claims, input.Now)
	input.Issuer, input.Claims = issuer.Name, claims
	iss, _ = claims["iss"].(string)
	input.IssuerID = issuer.Policy.IssuerID(iss)
	input.Client, x.Refusal = s.cfg.Rules.CheckClaims(issuer.Name, claims, input.Now)
	x.Issuer, x.Claims = issuer.Name, claims
	x.Notes = s.notes(x.Refusal, claims, issuer)
	return nil
}

// explainedIssuer returns the issuer with the given name or, without a name,
// that of iss, or the only one.
func (s *snapshot) explainedIssuer(name, iss string) (*config.Issuer, error) {
	if issuer := s.issuerOf(iss); name == "" && issuer != nil {
		return issuer, nil
	}
	var names []string
	for i := range s.cfg.Issuers {
		issuer := &s.cfg.Issuers[i]
		if name == issuer.Name || name == "" && len(s.cfg.Issuers) == 1 {
			return issuer, nil
		}
		names = append(names, issuer.Name)
	}
	if name != "" {
		return nil, fmt.Errorf("no issuer is named %q; there are %s", name, strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("%w: %s", ErrWhichIssuer, strings.Join(names, ", "))
}

// issuerOf returns the issuer with this iss, or nil.
func (s *snapshot) issuerOf(iss string) *config.Issuer {
	for i := range s.cfg.Issuers {
		if slices.Contains(s.cfg.Issuers[i].Policy.IssuerIDs, iss) {
			return &s.cfg.Issuers[i]
		}
	}
	return nil
}

// notes tells both sides of what err says does not go together. issuer is nil
// when no configured one has the iss.
func (s *snapshot) notes(err error, claims rules.Claims, issuer *config.Issuer) []string {
	var name string
	var configured []string
	switch reason := rules.ReasonOf(err); {
	case reason == rules.UnknownIssuer:
		name = "iss"
		for i := range s.cfg.Issuers {
			if issuer == nil || issuer == &s.cfg.Issuers[i] {
				configured = append(configured, s.cfg.Issuers[i].Policy.IssuerIDs...)
			}
		}
	case issuer == nil:
		return nil
	case reason == rules.WrongAudience:
		name, configured = "aud", issuer.Policy.Audiences
	case reason == rules.WrongAZP:
		name, configured = "azp", issuer.Policy.AllowedAZP
	case reason == rules.KeysUnavailable:
		return []string{s.missingKeys(issuer)}
	default:
		return nil
	}
	notes := []string{fmt.Sprintf("%s is %s", name, quoted(claims[name])), "configured: " + list(configured)}
	if name == "aud" && len(issuer.Policy.TrustedAudiences) > 0 {
		notes = append(notes, "trusted beside one of them: "+list(issuer.Policy.TrustedAudiences))
	}
	if text, ok := claims[name].(string); ok {
		for _, value := range configured {
			if value != text && strings.TrimSuffix(value, "/") == strings.TrimSuffix(text, "/") {
				notes = append(notes, "only the / at the end differs")
			}
		}
	}
	return notes
}

// missingKeys says where an issuer's keys could not be had, and why.
func (s *snapshot) missingKeys(issuer *config.Issuer) string {
	why := s.keyError(issuer.Name)
	if why == "" {
		why = "there was no answer"
	}
	where := issuer.JWKSURI
	if where == "" {
		// As go-oidc asks for it, OpenID Connect Discovery 1.0 §4.
		where = strings.TrimSuffix(strings.ReplaceAll(issuer.URL, "{tenantid}", "common"), "/") + "/.well-known/openid-configuration"
		if cause, ok := strings.CutPrefix(why, "discovery: "); ok {
			why = cause
		} else {
			where = "the jwks_uri of " + where
		}
	}
	return fmt.Sprintf("the keys of issuer %s could not be fetched from %s: %s", issuer.Name, where, why)
}

// keyError is why an issuer's keys could not be fetched, "" while that is open.
func (s *snapshot) keyError(issuer string) string {
	for _, keys := range s.verifier.Keys() {
		if keys.Issuer == issuer {
			return keys.Error
		}
	}
	return ""
}

// quoted is a claim in characters that no terminal takes for anything else.
func quoted(claim any) string {
	switch claim := claim.(type) {
	case nil:
		return "absent"
	case string:
		return strconv.Quote(cutTo(claim, 200))
	case []any:
		items := make([]string, len(claim))
		for i, item := range claim {
			items[i] = quoted(item)
		}
		return cutTo("["+strings.Join(items, ", ")+"]", 400)
	}
	return "(" + rules.TypeName(claim) + ")"
}

// list is values for a person to compare; of many, some.
func list(values []string) string {
	const most = 10
	var quotes []string
	for _, value := range values[:min(most, len(values))] {
		quotes = append(quotes, strconv.Quote(value))
	}
	text := strings.Join(quotes, ", ")
	if more := len(values) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// verifyPatiently verifies raw, and gives keys that are still being fetched
// the time to arrive: a command has just started. A fetch that failed is not
// waited for again.
func (s *snapshot) verifyPatiently(ctx context.Context, raw string) (*idtoken.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, explainWait)
	defer cancel()
	s.Start(ctx)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		token, err := s.verifier.Verify(ctx, raw)
		rejection := (*idtoken.Rejection)(nil)
		if rules.ReasonOf(err) != rules.KeysUnavailable || errors.As(err, &rejection) && s.keyError(rejection.Issuer) != "" {
			return token, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}
