package ui

import "time"

// AuditPage is the organisation's audit log.
type AuditPage struct {
	Frame
	Entries      []AuditEntry // newest first
	Environments []Option     // to filter by
	Older        string       // path of the next page; empty: there is none
	Newest       string       // path of the first page; empty: this is it
}

// AuditEntry is something that somebody did.
type AuditEntry struct {
	Time                       time.Time
	User, Via, Source, Request string
	Action, Environment, DPE   string
	Detail                     string
}

// Audit renders the audit log.
func Audit(p AuditPage) ([]byte, error) { return render("audit", "layout", p) }

// AccountPage is who is signed in, with API tokens, and for admins the organisation's users.
type AccountPage struct {
	Frame
	ID, Via   string
	Tokens    []Token
	Done      string    // what the page that led here did: "password", "reset"; empty: nothing
	New       *NewToken // that was just made; nil: none
	TokenName string    // as it was typed
	Scopes    []Option
	Lives     []Option // in days

	Users    []User // of the organisation, for its admins
	UserID   string // as it was typed
	UserName string
	Roles    []Option
}

// Token is an API token without the token itself.
type Token struct {
	ID, Name, Scopes string
	Created, Expires time.Time
	Expired          bool
}

// NewToken is an API token that was just made, with the token itself for the one page that shows it.
type NewToken struct {
	ID, Name string
	Secret   string // empty: it was shown already
}

// User is a user of the organisation.
type User struct {
	ID, Name, Role, Organisation string
	Created                      time.Time
	Removable                    bool
}

// Account renders the account page.
func Account(p AccountPage) ([]byte, error) { return render("account", "layout", p) }
