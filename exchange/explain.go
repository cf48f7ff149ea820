package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	Decision  *rules.Decision
	Refusal   error // nil: granted
	Trace     rules.Trace
}

// Explain runs an exchange up to, and without, the minting. Its error means
// that there is nothing to explain, not that the person is refused.
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
	if !r.Unverified {
		x.Refusal = err
		return nil
	}
	_, claims, err := idtoken.Inspect(r.Token)
	if err != nil {
		return fmt.Errorf("reading the token: %w", err)
	}
	iss, _ := claims["iss"].(string)
	issuer, err := s.explainedIssuer(r.Issuer, func(i *config.Issuer) bool {
		return slices.Contains(i.Policy.IssuerIDs, iss)
	})
	if err != nil {
		return err
	}
	input.Issuer, input.IssuerID, input.Claims = issuer.Name, iss, claims
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
	issuer, err := s.explainedIssuer(r.Issuer, func(i *config.Issuer) bool {
		return claims["iss"] == nil && len(s.cfg.Issuers) == 1 || slices.Contains(i.Policy.IssuerIDs, fmt.Sprint(claims["iss"]))
	})
	if err != nil {
		return err
	}
	claims = issuer.Policy.Complete(claims, input.Now)
	input.Issuer, input.Claims = issuer.Name, claims
	input.IssuerID, _ = claims["iss"].(string)
	input.Client, x.Refusal = s.cfg.Rules.CheckClaims(issuer.Name, claims, input.Now)
	x.Issuer, x.Claims = issuer.Name, claims
	return nil
}

// explainedIssuer returns the issuer with the given name, or, without a name,
// the one that matches.
func (s *snapshot) explainedIssuer(name string, matches func(*config.Issuer) bool) (*config.Issuer, error) {
	var names []string
	for i := range s.cfg.Issuers {
		issuer := &s.cfg.Issuers[i]
		if name == issuer.Name || name == "" && matches(issuer) {
			return issuer, nil
		}
		names = append(names, issuer.Name)
	}
	if name != "" {
		return nil, fmt.Errorf("no issuer is named %q; there are %s", name, strings.Join(names, ", "))
	}
	return nil, errors.New("name the issuer these claims are from: " + strings.Join(names, ", "))
}

// verifyPatiently verifies raw, and gives keys that are still being fetched
// the time to arrive: a command has just started.
func (s *snapshot) verifyPatiently(ctx context.Context, raw string) (*idtoken.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, explainWait)
	defer cancel()
	s.Start(ctx)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		token, err := s.verifier.Verify(ctx, raw)
		if rules.ReasonOf(err) != rules.KeysUnavailable {
			return token, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}
