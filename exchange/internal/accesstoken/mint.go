package accesstoken

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"time"

	"github.com/twilio/twilio-go/client/jwt"

	"twilio-sts/config"
	"twilio-sts/config/rules"
)

// maxTTL is the longest that Twilio lets a token live: less than a day.
const maxTTL = 24*time.Hour - time.Second

// defaultRegion needs no mention in a token.
const defaultRegion = "us1"

// Options are what a Minter needs.
type Options struct {
	Accounts []config.Account
	Now      func() time.Time // required
	Rand     io.Reader        // nil: crypto/rand
}

// A Minter signs Twilio access tokens. It is safe for concurrent use.
type Minter struct {
	accounts map[string]*config.Account
	now      func() time.Time
	rand     io.Reader
}

// New returns a Minter.
func New(o Options) *Minter {
	m := &Minter{accounts: map[string]*config.Account{}, now: o.Now, rand: o.Rand}
	if m.rand == nil {
		m.rand = rand.Reader
	}
	for i := range o.Accounts {
		m.accounts[o.Accounts[i].Name] = &o.Accounts[i]
	}
	return m
}

// A Token is a minted Twilio access token.
type Token struct {
	JWT      string
	ID       string // jti
	Identity string
	TTL      time.Duration  // whole seconds
	Grants   map[string]any // as in the token, without the identity
	Region   string
}

// Mint signs the token that an approval stands for. What Twilio would refuse,
// or take for more than was decided, is refused before it is signed. The last
// thing before that is use, which may refuse, too; nil never does. The error is
// a *rules.Refusal or that of use.
func (m *Minter) Mint(a *Approval, use func() error) (*Token, error) {
	if a == nil || a.token == nil {
		return nil, rules.Refuse(rules.Internal, "there is no approval to mint for")
	}
	return m.mint(a.decision, use)
}

func (m *Minter) mint(d *rules.Decision, use func() error) (*Token, error) {
	account := m.accounts[d.Account]
	switch {
	case account == nil:
		return nil, rules.Refuse(rules.RuleFailed, "no account is named %q", d.Account)
	case d.TTL < time.Second || d.TTL > maxTTL || d.TTL%time.Second != 0:
		return nil, rules.Refuse(rules.Internal, "a ttl of %s is out of bounds", d.TTL)
	case d.Grants.Video != nil && account.Region != defaultRegion:
		return nil, rules.Refuse(rules.RuleFailed, "video exists in %s alone", defaultRegion)
	}
	if err := rules.CheckIdentity(d.Identity, &d.Grants); err != nil {
		return nil, err
	}
	id, err := m.newID(account.APIKeySID)
	if err != nil {
		return nil, err
	}

	// twilio-go writes the grants, in Twilio's own words. The rest is set here:
	// its ToJwt lengthens every ttl to an hour, takes the wall clock's time,
	// makes one jti for all tokens of a second, writes an nbf that fails where
	// clocks differ, and panics without a secret. Its Params.Grants aliases the
	// caller's slice; AddGrant does not.
	params := jwt.AccessTokenParams{
		AccountSid:    account.AccountSID,
		SigningKeySid: account.APIKeySID,
		Secret:        account.APIKeySecret.Reveal(),
		Identity:      d.Identity,
	}
	if account.Region != defaultRegion {
		params.Region = account.Region
	}
	t := jwt.CreateAccessToken(params)
	for _, g := range grants(&d.Grants) {
		t.AddGrant(g)
	}
	payload, now := t.GeneratePayload(), m.now().Unix()
	payload["jti"] = id
	payload["iat"] = now
	payload["exp"] = now + int64(d.TTL/time.Second)
	delete(payload, "nbf")

	granted, err := checkPayload(payload, d)
	if err != nil {
		return nil, err
	}
	if use != nil {
		if err := use(); err != nil {
			return nil, err
		}
	}
	signed, err := jwt.SignTokenWithHMAC(t.Headers(), payload, account.APIKeySecret.Reveal())
	if err != nil {
		return nil, rules.Refuse(rules.Internal, "the token could not be signed")
	}
	return &Token{JWT: signed, ID: id, Identity: d.Identity, TTL: d.TTL, Grants: granted, Region: account.Region}, nil
}

// newID returns the id of a token: the key's SID and 128 random bits.
func (m *Minter) newID(keySID string) (string, error) {
	var random [16]byte
	if _, err := io.ReadFull(m.rand, random[:]); err != nil {
		return "", rules.Refuse(rules.Internal, "there is no randomness")
	}
	return keySID + "-" + hex.EncodeToString(random[:]), nil
}

// checkPayload looks at what is about to be signed, and returns its grants
// without the identity. A video grant without a room opens every room, so it
// goes out only where that was written.
func checkPayload(payload map[string]any, d *rules.Decision) (map[string]any, error) {
	all, ok := payload["grants"].(map[string]any)
	if !ok || all["identity"] != d.Identity {
		return nil, rules.Refuse(rules.Internal, "the token has another identity than was decided")
	}
	granted := make(map[string]any, len(all)-1)
	for name, grant := range all {
		if name != "identity" {
			granted[name] = grant
		}
	}
	if len(granted) != len(d.Grants.Kinds()) {
		return nil, rules.Refuse(rules.Internal, "the token has other grants than were decided")
	}
	if video := d.Grants.Video; video != nil {
		grant, _ := granted["video"].(map[string]any)
		if room, _ := grant["room"].(string); room != video.Room || room == "" && !video.AnyRoom {
			return nil, rules.Refuse(rules.Internal, "the token opens other rooms than were decided")
		}
	}
	return granted, nil
}

// grants turns a decision's grants into twilio-go's.
func grants(g *rules.Grants) []jwt.BaseGrant {
	var out []jwt.BaseGrant
	if v := g.Voice; v != nil {
		out = append(out, &jwt.VoiceGrant{
			Incoming:          jwt.Incoming{Allow: v.IncomingAllow},
			Outgoing:          jwt.Outgoing{ApplicationSid: v.OutgoingApplicationSID, ApplicationParams: v.OutgoingParams},
			PushCredentialSid: v.PushCredentialSID,
			EndpointID:        v.EndpointID,
		})
	}
	if v := g.Video; v != nil {
		out = append(out, &jwt.VideoGrant{Room: v.Room})
	}
	if c := g.Chat; c != nil {
		out = append(out, &jwt.ChatGrant{
			ServiceSid:        c.ServiceSID,
			EndpointID:        c.EndpointID,
			DeploymentRoleSid: c.DeploymentRoleSID,
			PushCredentialSid: c.PushCredentialSID,
		})
	}
	if s := g.Sync; s != nil {
		out = append(out, &jwt.SyncGrant{ServiceSid: s.ServiceSID, EndpointID: s.EndpointID})
	}
	if t := g.TaskRouter; t != nil {
		out = append(out, &jwt.TaskRouterGrant{WorkspaceSid: t.WorkspaceSID, WorkerSid: t.WorkerSID, Role: t.Role})
	}
	return out
}
