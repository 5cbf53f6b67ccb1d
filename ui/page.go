package ui

import "time"

// Frame is what every page has around it.
type Frame struct {
	Title        string
	Organisation string
	Nav          string // the entry of the navigation that is open: "environments", "audit", "account", "room"; empty: none
	Room         string // the page of the control room that is open; empty: a page of the product
	After        uint64 // Seq of the last event before the page was made: live parts listen from there
	Environment  *Environment
	Tab          string   // the tab that is open: "overview", "services", "settings", "jobs"; empty: none
	Crumb        string   // name of a page below a tab; empty: none
	Failure      *Failure // what went wrong with the form that was sent; nil: nothing

	User    string // name of who is signed in; empty: nobody
	Role    string // in words
	Trainer bool   // who is signed in runs the simulator
	Creates bool   // who is signed in may create environments
	Manages bool   // who is signed in may change the environment

	Administers bool // who is signed in is an admin of the organisation
}

// Failure is an error in a person's words.
type Failure struct{ Detail, Help string }

// Environment is an environment at the head of its pages and in lists.
type Environment struct {
	ID, Name, Location, Release, Tier string
	Phase                             string // "creating", "ready", "deleting"
	Created                           time.Time
	Steps                             []Step // of the creation, while it goes on
	Engines, EnginesAllowed           int
	Replicas, ReplicasLicensed        int
}

// Step is a step of a creation.
type Step struct{ Name, State string }

// Ready tells whether the environment's services run.
func (e Environment) Ready() bool { return e.Phase == "ready" }

// Option is something to choose.
type Option struct {
	Value, Text string
	Chosen      bool
}

// SignInPage is where people say who they are.
type SignInPage struct {
	Frame
	Demo     []DemoGroup
	User     string // as it was typed
	Next     string // path of the page to go on to
	Password string // of every demo user
}

// DemoGroup is users who may be picked, who belong together.
type DemoGroup struct {
	Title string
	Users []DemoUser
}

// DemoUser is a user who may be picked.
type DemoUser struct{ ID, Name, Does string }

// SignIn renders the sign-in.
func SignIn(p SignInPage) ([]byte, error) { return render("sign-in", "layout", p) }

// EnvironmentsPage is the list of environments.
type EnvironmentsPage struct {
	Frame
	Environments []Environment
}

// Environments renders the list of environments.
func Environments(p EnvironmentsPage) ([]byte, error) { return render("environments", "layout", p) }

// NewEnvironmentPage is the form of Create environment.
type NewEnvironmentPage struct {
	Frame
	Name                       string
	Locations, Releases, Tiers []Option
	Offerings                  []Option
	Exceptional                bool   // the contract allows an exceptional sizing
	Engines, Replicas          string // that contract and licence allow, as they were typed; empty: as the organisation has it
}

// NewEnvironment renders the form of Create environment.
func NewEnvironment(p NewEnvironmentPage) ([]byte, error) {
	return render("new-environment", "layout", p)
}

// ServicesPage is an environment's Services tab.
type ServicesPage struct {
	Frame
	DPM, ObjectStorage, Registry string // addresses; empty: not there yet
	AccessKey                    string // of the operator's object storage credential
	Health                       []Health
	EngineList
}

// EngineList is what of the replicas is connected to DPM.
type EngineList struct {
	Engines            []Engine // not all, if there are many
	Connected          int      // how many there are
	EnginesUnavailable string   // why they are not known; empty: they are
}

// Health is whether a service of an environment answers.
type Health struct {
	Name   string
	OK     bool
	Detail string // what is wrong
}

// Engine is a replica that is connected to DPM.
type Engine struct {
	Label, Replica, Version, Drivers, Remote string
	Revision                                 int64
	Running, Slots                           int
	Outdated, Draining, Managed              bool
	Connected                                time.Time
}

// Services renders an environment's Services tab.
func Services(p ServicesPage) ([]byte, error) { return render("services", "layout", p) }

// SettingsPage is an environment's Settings tab.
type SettingsPage struct {
	Frame
	Sizing   []Sizing // of the tiers, then of DPEs with an exceptional one
	DPEs     []DPE
	Releases []Option // newer than the environment's

	Exceptional bool     // the contract allows an exceptional sizing
	Owner       string   // name
	Owners      []Option // to choose from, for admins
	Revision    int64    // of the environment

	ManagedReplicas string // as they were typed
	Managed         int    // replicas of Ataccama-managed DPEs
	AllowlistOn     bool
	Ranges          int // on the allowlist
}

// AllowlistPage is an environment's IP allowlist.
type AllowlistPage struct {
	Frame
	On        bool
	Ranges    string // as typed: one a line, a note behind it
	Version   int64
	Cuts      []Cut // what would be cut, to confirm
	Connected []Cut // from where engines are connected now
}

// Cut is a source address with the engines that are connected from there.
type Cut struct{ Source, Engines string }

// Allowlist renders an environment's IP allowlist.
func Allowlist(p AllowlistPage) ([]byte, error) { return render("allowlist", "layout", p) }

// UpgradePage tells what an upgrade of the platform means, and asks for it.
type UpgradePage struct {
	Frame
	Revision int64 // of the environment
	From, To string
	Oldest   string // release of an engine that the new platform works with
	Managed  int    // replicas that are upgraded with it
	DPEs     []DPEUpgrade
}

// DPEUpgrade is what it means for one DPE.
type DPEUpgrade struct {
	Name, Label, Running string
	Outdated, Required   bool
	Values               []ValueChange
}

// ValueChange is a key of values.yaml that is "new", "gone", or "renamed" from what it was.
type ValueChange struct{ Key, Change, Was string }

// Upgrade renders what an upgrade of the platform means.
func Upgrade(p UpgradePage) ([]byte, error) { return render("upgrade", "layout", p) }

// Sizing is a row of the Service sizing table.
type Sizing struct {
	Of string // a tier, or the name of a DPE with an exceptional sizing

	CPURequest, CPULimit, MemoryRequest, MemoryLimit, Disk string
	Chosen                                                 bool
}

// DPE is a self-managed DPE in the list of the Settings tab.
type DPE struct {
	Environment, Label, Name, Drivers, Release string
	Sizing                                     string // what is exceptional in it; empty: nothing
	Replicas                                   int
	Revision                                   int64
	Status                                     Status
}

// Status is a DPE's status.
type Status struct {
	Environment, Label      string
	Colour, Message, Detail string
	Since                   time.Time // of a disconnection; zero: none
	Redeploy                bool
	Differences             []Difference
	Outdated                bool
	Running, Platform       string // releases
	UpgradeRequired         bool
	Oldest                  string    // release that the platform works with
	Compliance              string    // in what it is non-compliant; empty: it is not
	Failure                 string    // what went wrong last; empty: nothing
	Failed                  time.Time // when
	Steps                   bool      // whether to link to the steps: not on the page that has them
}

// Difference is one thing that runs otherwise than wanted.
type Difference struct{ Field, Running, Wanted string }

// Settings renders an environment's Settings tab.
func Settings(p SettingsPage) ([]byte, error) { return render("settings", "layout", p) }

// StatusFragment renders a status alone, to be put in place of an older one.
func StatusFragment(s Status) ([]byte, error) { return render("settings", "status", s) }

// DPEFormPage is the form of Add DPE and Edit.
type DPEFormPage struct {
	Frame
	LabelPreview
	Name     string
	Edit     bool
	Revision int64 // that an edit is made of
	Drivers  []Option
	Replicas string // as it was typed
	Free     int    // replicas that the licence leaves for this DPE
	Sizing   []SizingField
}

// SizingField is a field for a figure of an exceptional sizing; without any, the contract allows none.
type SizingField struct {
	Name, Title string
	Value       string // as it was typed; empty: the tier's
	Tier        string // what the tier has
}

// DPEForm renders the form of Add DPE and Edit.
func DPEForm(p DPEFormPage) ([]byte, error) { return render("dpe-form", "layout", p) }

// LabelPreview is the label that a name gives.
type LabelPreview struct {
	Label   string // empty: none can be made of the name
	Warning string // what speaks against it; empty: nothing
}

// LabelFragment renders the label that a name would give.
func LabelFragment(p LabelPreview) ([]byte, error) { return render("dpe-form", "label", p) }

// InstallationPage is the installation commands of a DPE, in one variant.
type InstallationPage struct {
	Frame
	DPE          DPE
	Upgrade      bool // they are shown as upgrade steps
	Installed    bool // it has connected once: there is something to update
	Requirements []Requirement
	Variants     []Option
	Explanation  string // of the chosen variant
	Files        []File

	Prepare, Diff, Install, Verify, Rollback, Uninstall []Command

	Run                                              *Run // nil: none yet
	RunInstall, RunVerify, RunRollback, RunUninstall RunHere
}

// Requirement is software that an installation needs.
type Requirement struct{ Name, Version, Explanation string }

// File is a file that the commands read; without Href the reader has it already.
type File struct {
	Name, Href, Explanation string
	Secret                  bool
}

// Command is a command to copy. ID is unique on its page.
type Command struct {
	ID, Title, Explanation, Text string
	NotHere                      string // why [RunHere] leaves it out; empty: it does not
}

// Installation renders the installation commands of a DPE.
func Installation(p InstallationPage) ([]byte, error) { return render("installation", "layout", p) }

// RemovePage asks to confirm the removal of a DPE.
type RemovePage struct {
	Frame
	Label, Name string
	Replicas    int
	Revision    int64
	Confirm     string // the label, if it was typed already
	Uninstall   string // the command for the cluster

	Run          *Run // nil: none yet
	RunUninstall RunHere
}

// Remove renders the confirmation of a removal.
func Remove(p RemovePage) ([]byte, error) { return render("remove", "layout", p) }

// DeletePage asks to confirm the deletion of an environment.
type DeletePage struct {
	Frame
	Revision int64  // of the environment
	Confirm  string // the environment's id, if it was typed already
}

// Delete renders the confirmation of an environment's deletion.
func Delete(p DeletePage) ([]byte, error) { return render("delete", "layout", p) }

// JobsPage is an environment's jobs.
type JobsPage struct {
	Frame
	Jobs        []Job
	Unavailable string // why Jobs is not known; empty: it is
	Bucket, Key string // as they were typed
	Labels      []Option

	State  string // that is filtered by; empty: all
	States []Option
	Self   string // path of this page of the list
	Older  string // path of the next one; empty: there is none
	Newest string // path of the first one; empty: this is it
}

// Job is a job in the list.
type Job struct {
	ID, State, Source, Engine, Reason, Result string
	Colour                                    string // of the state: "green", "orange", "red"
	Attempt                                   int
	Created                                   time.Time
}

// Jobs renders an environment's jobs.
func Jobs(p JobsPage) ([]byte, error) { return render("jobs", "layout", p) }

// ProblemPage is an error.
type ProblemPage struct {
	Frame
	Detail, Help, RequestID string
	Next                    []NextStep
}

// Problem renders an error.
func Problem(p ProblemPage) ([]byte, error) { return render("problem", "layout", p) }
