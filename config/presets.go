package config

import (
	"net/url"
	"strings"

	"twilio-sts/config/rules"
)

// A preset is what is known of a provider: it only sets defaults and adds
// claim rules, and everything it sets can be said of an issuer without it.
type preset struct {
	name        string
	aliases     []string // further values of iss
	algorithms  []string // default RS256
	required    []rules.ClaimRule
	forbidden   []rules.ClaimRule
	accessToken bool
}

// sharedIssuer reports whether the URL is one that stands for every tenant.
func (p preset) sharedIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil || p.name != "entra" {
		return false
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return tenant == "common" || tenant == "organizations" || tenant == "consumers"
}

func has(path ...string) rules.ClaimRule { return rules.ClaimRule{Path: path} }

func is(value string, path ...string) rules.ClaimRule {
	return rules.ClaimRule{Path: path, Values: []string{value}}
}

// anotherKind is a rule that tells another kind of token from an ID token.
func anotherKind(r rules.ClaimRule) rules.ClaimRule {
	r.Unsupported = true
	return r
}

// presets are the providers, each with what is particular about it.
func presets() []preset {
	return []preset{
		// Google's tokens may leave https:// out of iss. Its service accounts
		// can have a token made for any audience, and such tokens carry a
		// verified e-mail: azp tells them apart, because theirs is the service
		// account's id, and allowed_azp is the audiences unless it is set.
		// (That azp is the service account's id is from memory.)
		{name: "google", aliases: []string{"accounts.google.com"}, required: []rules.ClaimRule{anotherKind(has("azp"))}},
		// Auth0's issuer ends in a slash. A tenant and its custom domain are
		// two issuers. Custom claims often have URLs for names.
		{name: "auth0"},
		// Okta's issuer is the organisation's URL, or ends in /oauth2/ and the
		// id of an authorization server; a custom domain is another issuer.
		{name: "okta"},
		// Entra leaves email unverified and lets owners change it: identify
		// people by tid with oid. The tenant is part of iss, and {tenantid}
		// with tenants lists those accepted. tid and oid must be there.
		{name: "entra", required: []rules.ClaimRule{has("tid"), has("oid")}},
		// Apple's audience is the services id on the web and the bundle id in
		// apps: list both. email_verified may arrive as text.
		{name: "apple"},
		// Cognito signs ID and access tokens for the same pool; token_use
		// tells them apart.
		{name: "cognito", required: []rules.ClaimRule{anotherKind(is("id", "token_use"))}},
		// Firebase gives anonymous visitors valid tokens, which are refused.
		// (The provider's name for them is from memory.)
		{name: "firebase", forbidden: []rules.ClaimRule{is("anonymous", "firebase", "sign_in_provider")}},
		// Keycloak writes the kind of token into the claim typ: ID, Bearer,
		// Refresh or Logout. (From memory.)
		{name: "keycloak", required: []rules.ClaimRule{anotherKind(is("ID", "typ"))}},
		// GitLab's CI jobs get tokens from the same issuer for an audience
		// that any pipeline chooses; the claims about the job tell them apart.
		{name: "gitlab", forbidden: []rules.ClaimRule{
			anotherKind(has("project_path")), anotherKind(has("job_id")), anotherKind(has("pipeline_id")), anotherKind(has("ref")),
		}},
		// Dex names the other client in azp when a token is for several.
		{name: "dex"},
		// Zitadel's tokens name the project beside the client in aud, with azp.
		{name: "zitadel"},
		// Supabase issues no ID token: its access token is taken in its place.
		// Its audience is the same for every project, so the issuer is what
		// tells projects apart. Anonymous users are refused. (The name of that
		// claim is from memory.)
		{name: "supabase", algorithms: []string{"ES256", "RS256"}, accessToken: true,
			required:  []rules.ClaimRule{is("authenticated", "role")},
			forbidden: []rules.ClaimRule{is("true", "is_anonymous")}},
		// Clerk's session token has no audience unless a JWT template adds
		// one, and such a template is needed here.
		{name: "clerk"},
	}
}
