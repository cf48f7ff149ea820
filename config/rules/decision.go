package rules

import "time"

// A Kind is a kind of grant, as in grants: and in the scope parameter.
type Kind string

// The kinds of grant, in the order they are evaluated and shown.
const (
	KindVoice      Kind = "voice"
	KindVideo      Kind = "video"
	KindChat       Kind = "chat"
	KindSync       Kind = "sync"
	KindTaskRouter Kind = "task_router"
)

// Kinds lists every kind of grant.
var Kinds = [...]Kind{KindVoice, KindVideo, KindChat, KindSync, KindTaskRouter}

// An Input is what one decision is made from.
type Input struct {
	Issuer   string // the issuer's name in the configuration
	IssuerID string // by Policy.IssuerID
	Client   string // azp, else the audience that matched
	Claims   Claims
	Request  map[string]string // declared parameters: sent, or with a default
	Scope    []string          // kinds wanted; empty means all
	Now      time.Time
	Known    *Known // which Claims and Request members are known; nil: all
}

// A Decision is what a person gets.
type Decision struct {
	Identity string
	Account  string        // a configured account's name
	TTL      time.Duration // whole seconds
	Grants   Grants        // at least one; already narrowed to the scope asked for
	Rules    []string      // names of the rules that contributed, in file order
}

// Grants are the Twilio grants of a decision; nil means not granted. The JSON
// form uses the words of the configuration's grants.
type Grants struct {
	Voice      *Voice      `json:"voice,omitempty"`
	Video      *Video      `json:"video,omitempty"`
	Chat       *Chat       `json:"chat,omitempty"`
	Sync       *Sync       `json:"sync,omitempty"`
	TaskRouter *TaskRouter `json:"task_router,omitempty"`
}

// Voice is the Programmable Voice grant.
type Voice struct {
	OutgoingApplicationSID string         `json:"outgoing_application_sid,omitempty"` // AP…
	OutgoingParams         map[string]any `json:"outgoing_params,omitempty"`
	IncomingAllow          bool           `json:"incoming_allow,omitempty"`
	PushCredentialSID      string         `json:"push_credential_sid,omitempty"` // CR…
	EndpointID             string         `json:"endpoint_id,omitempty"`
}

// Video is the Video grant: one room, or any room where AnyRoom was written.
type Video struct {
	Room    string `json:"room,omitempty"`
	AnyRoom bool   `json:"any_room,omitempty"`
}

// Chat is the Conversations (Chat) grant.
type Chat struct {
	ServiceSID        string `json:"service_sid,omitempty"` // IS…
	EndpointID        string `json:"endpoint_id,omitempty"`
	DeploymentRoleSID string `json:"deployment_role_sid,omitempty"` // RL…
	PushCredentialSID string `json:"push_credential_sid,omitempty"` // CR…
}

// Sync is the Sync grant.
type Sync struct {
	ServiceSID string `json:"service_sid,omitempty"` // IS… or a unique name
	EndpointID string `json:"endpoint_id,omitempty"`
}

// TaskRouter is the TaskRouter grant.
type TaskRouter struct {
	WorkspaceSID string `json:"workspace_sid,omitempty"` // WS…
	WorkerSID    string `json:"worker_sid,omitempty"`    // WK…
	Role         string `json:"role,omitempty"`
}

// Kinds lists the kinds granted, in the order of Kinds.
func (g *Grants) Kinds() []Kind {
	var kinds []Kind
	for _, k := range Kinds {
		if g.Has(k) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// Has reports whether kind is granted.
func (g *Grants) Has(kind Kind) bool {
	switch kind {
	case KindVoice:
		return g.Voice != nil
	case KindVideo:
		return g.Video != nil
	case KindChat:
		return g.Chat != nil
	case KindSync:
		return g.Sync != nil
	case KindTaskRouter:
		return g.TaskRouter != nil
	}
	return false
}
