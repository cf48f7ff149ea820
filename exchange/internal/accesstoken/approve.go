package accesstoken

import (
	"time"

	"twilio-sts/config/rules"
	"twilio-sts/exchange/internal/idtoken"
)

// An Approval is a decision together with the verified token it was made from.
// Only Approve makes one, so nothing can be minted from claims that somebody
// merely wrote down.
type Approval struct {
	token    *idtoken.Token
	decision *rules.Decision
}

// A Request is what the client asks for: parameters, checked, and kinds of
// grant.
type Request struct {
	Parameters map[string]string
	Scope      []string
}

// Approve decides by set what token's owner gets. The error is a
// *rules.Refusal.
func Approve(token *idtoken.Token, set *rules.Set, r Request, now time.Time) (*Approval, error) {
	if token == nil || token.Issuer() == "" {
		return nil, rules.Refuse(rules.Internal, "there is no verified token to decide for")
	}
	decision, err := set.Decide(token.Input(r.Parameters, r.Scope, now), nil)
	if err != nil {
		return nil, err
	}
	return &Approval{token, decision}, nil
}

// Decision returns what was decided. It must not be changed.
func (a *Approval) Decision() *rules.Decision { return a.decision }
