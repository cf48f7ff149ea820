package rules

import (
	"regexp"
	"slices"
	"unicode/utf8"
)

// A field is one field of a grant: the only place that knows its name, what it
// may hold, and where it goes.
type field struct {
	name  string
	kind  valueKind
	check func(s string) (want string) // "" when s will do
	// optional fields are left out when their value is empty; elsewhere an
	// empty value refuses.
	optional bool
	required bool
	set      func(g *Grants, v any)
}

// fieldsOf are the fields of each kind of grant, in the order of Twilio's
// documentation. outgoing_params is apart: it holds values of its own.
func fieldsOf(kind Kind) []field {
	switch kind {
	case KindVoice:
		return []field{
			{name: "outgoing_application_sid", check: sid("AP"), optional: true, set: func(g *Grants, v any) { g.Voice.OutgoingApplicationSID = v.(string) }},
			{name: "incoming_allow", kind: flagValue, optional: true, set: func(g *Grants, v any) { g.Voice.IncomingAllow = v.(bool) }},
			{name: "push_credential_sid", check: sid("CR"), optional: true, set: func(g *Grants, v any) { g.Voice.PushCredentialSID = v.(string) }},
			{name: "endpoint_id", check: anyText, optional: true, set: func(g *Grants, v any) { g.Voice.EndpointID = v.(string) }},
		}
	case KindVideo:
		return []field{
			{name: "room", check: room, set: func(g *Grants, v any) { g.Video.Room = v.(string) }},
		}
	case KindChat:
		return []field{
			{name: "service_sid", check: sid("IS"), required: true, set: func(g *Grants, v any) { g.Chat.ServiceSID = v.(string) }},
			{name: "endpoint_id", check: anyText, optional: true, set: func(g *Grants, v any) { g.Chat.EndpointID = v.(string) }},
			{name: "deployment_role_sid", check: sid("RL"), set: func(g *Grants, v any) { g.Chat.DeploymentRoleSID = v.(string) }},
			{name: "push_credential_sid", check: sid("CR"), optional: true, set: func(g *Grants, v any) { g.Chat.PushCredentialSID = v.(string) }},
		}
	case KindSync:
		return []field{
			{name: "service_sid", check: syncService, required: true, set: func(g *Grants, v any) { g.Sync.ServiceSID = v.(string) }},
			{name: "endpoint_id", check: anyText, optional: true, set: func(g *Grants, v any) { g.Sync.EndpointID = v.(string) }},
		}
	case KindTaskRouter:
		return []field{
			{name: "workspace_sid", check: sid("WS"), required: true, set: func(g *Grants, v any) { g.TaskRouter.WorkspaceSID = v.(string) }},
			{name: "worker_sid", check: sid("WK"), set: func(g *Grants, v any) { g.TaskRouter.WorkerSID = v.(string) }},
			{name: "role", check: anyText, set: func(g *Grants, v any) { g.TaskRouter.Role = v.(string) }},
		}
	}
	return nil
}

// The fields that are not values of the table's kinds.
const (
	fieldApplicationSID = "outgoing_application_sid"
	fieldParams         = "outgoing_params"
	fieldAnyRoom        = "any_room"
)

// GrantFields returns the names of the fields that a grant of this kind may
// have in a configuration, or nil for what is not a kind. outgoing_params is a
// mapping, incoming_allow and any_room are bools, all others text.
func GrantFields(kind Kind) []string {
	var names []string
	for _, f := range fieldsOf(kind) {
		names = append(names, f.name)
	}
	switch kind {
	case KindVoice:
		names = slices.Insert(names, 1, fieldParams)
	case KindVideo:
		names = append(names, fieldAnyRoom)
	}
	return names
}

// add makes room in g for a grant of this kind.
func (g *Grants) add(kind Kind) {
	switch kind {
	case KindVoice:
		g.Voice = &Voice{}
	case KindVideo:
		g.Video = &Video{}
	case KindChat:
		g.Chat = &Chat{}
	case KindSync:
		g.Sync = &Sync{}
	case KindTaskRouter:
		g.TaskRouter = &TaskRouter{}
	}
}

// only returns the grants of the given kinds.
func (g Grants) only(kinds []Kind) Grants {
	if !slices.Contains(kinds, KindVoice) {
		g.Voice = nil
	}
	if !slices.Contains(kinds, KindVideo) {
		g.Video = nil
	}
	if !slices.Contains(kinds, KindChat) {
		g.Chat = nil
	}
	if !slices.Contains(kinds, KindSync) {
		g.Sync = nil
	}
	if !slices.Contains(kinds, KindTaskRouter) {
		g.TaskRouter = nil
	}
	return g
}

// sid checks Twilio's string identifiers: two letters and 32 hex digits.
func sid(prefix string) func(string) string {
	return func(s string) string {
		if isSID(prefix, s) {
			return ""
		}
		return "a SID: " + prefix + " and 32 hex digits"
	}
}

func isSID(prefix, s string) bool {
	if len(s) != 34 || s[:2] != prefix {
		return false
	}
	for i := 2; i < len(s); i++ {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

var sidShape = regexp.MustCompile(`^[A-Z]{2}[0-9a-fA-F]{32}$`)

// syncService takes a SID or a unique name, but no SID of another kind.
func syncService(s string) string {
	if sidShape.MatchString(s) {
		return sid("IS")(s)
	}
	return anyText(s)
}

// room takes the names of rooms: 1 to 128 characters.
func room(s string) string {
	if n := utf8.RuneCountInString(s); !isPlain(s) || n < 1 || n > 128 {
		return "a room's name: 1 to 128 characters, none of them control characters"
	}
	return ""
}

func anyText(s string) string {
	if s == "" || !isPlain(s) {
		return "text without control characters"
	}
	return ""
}

// isPlain reports whether s is valid UTF-8 without control characters.
func isPlain(s string) bool {
	for _, r := range s {
		if r < 0x20 || 0x7f <= r && r <= 0x9f {
			return false
		}
	}
	return utf8.ValidString(s)
}
