package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// Task is a part of the installation commands that can be run in one go on the simulator's own cluster.
type Task string

// The tasks.
const (
	TaskInstall   Task = "install"   // log in, then install, update or upgrade: the commands are the same
	TaskVerify    Task = "verify"    // look at pods and events, follow the rollout, test
	TaskRollback  Task = "rollback"  // go back to the revision before
	TaskUninstall Task = "uninstall" // take it from the cluster
)

// Tasks lists the tasks.
func Tasks() []Task { return []Task{TaskInstall, TaskVerify, TaskRollback, TaskUninstall} }

// Task gives the commands of a task that can be run, in their order. It returns NotFound for a task that there is not,
// and Unavailable if this variant cannot be installed from here.
func (i Installation) Task(t Task) ([]Command, error) {
	var all []Command
	switch t {
	case TaskInstall:
		if i.NotHere != "" {
			return nil, sim.Errorf(sim.Unavailable, "%s", strings.TrimSuffix(i.NotHere, ".")).WithHelp("copy the commands, and run them where you have what they need")
		}
		all = append(append(all, i.Prepare...), i.Install...)
	case TaskVerify:
		all = i.Verify
	case TaskRollback:
		all = i.Rollback
	case TaskUninstall:
		all = i.Uninstall
	default:
		return nil, InField("task", sim.Errorf(sim.Invalid, "there is no task %.20q", string(t)).WithHelp("the tasks are %v", Tasks()))
	}
	var out []Command
	for _, c := range all {
		if c.NotHere == "" {
			out = append(out, c)
		}
	}
	return out, nil
}

// RunSpec is the body of POST .../dpes/{label}/runs.
type RunSpec struct {
	Task Task `json:"task"`
}

// RunState says how a run is going.
//
//	running -> succeeded | failed | cancelled
type RunState string

// The states.
const (
	RunRunning   RunState = "running"
	RunSucceeded RunState = "succeeded" // every command ended with exit code 0
	RunFailed    RunState = "failed"    // a command did not, or could not run, or took too long; those after it were not run
	RunCancelled RunState = "cancelled" // by somebody, or because the simulator stopped
)

// RunStates lists the states.
func RunStates() []RunState {
	return []RunState{RunRunning, RunSucceeded, RunFailed, RunCancelled}
}

// Run is one running of a DPE's commands on the simulator's own cluster. Runs are of this run of the simulator: it
// remembers the last few of each DPE, in memory.
type Run struct {
	ID          string            `json:"id"`
	Environment sim.EnvironmentID `json:"environment"`
	DPE         sim.Label         `json:"dpe"`
	Task        Task              `json:"task"`
	Release     sim.Release       `json:"release"`  // of the files that it uses
	Revision    int64             `json:"revision"` // of the files that it uses
	State       RunState          `json:"state"`
	By          string            `json:"by"`                  // user who started it
	Started     time.Time         `json:"started"`             // by the simulator's clock
	Ended       *time.Time        `json:"ended,omitempty"`     // by the simulator's clock; absent: it runs
	ElapsedMS   int64             `json:"elapsed_ms"`          // how long it runs or ran, by the machine's clock
	Command     string            `json:"command,omitempty"`   // that runs, or ran last
	ExitCode    *int              `json:"exit_code,omitempty"` // of the last command; absent: it has none
	Reason      string            `json:"reason,omitempty"`    // why it failed or was cancelled, if no exit code tells
	Output      string            `json:"output,omitempty"`    // what was printed so far, without secrets; not in lists
	Line        int64             `json:"line"`                // number of the last whole line that was printed; the first is 1
	Cut         int64             `json:"cut,omitempty"`       // lines at the beginning that are no longer kept
}

// Help says what to do about a run that did not succeed; empty: nothing.
func (r Run) Help() string {
	if r.State == RunRunning || r.State == RunSucceeded {
		return ""
	}
	why := fmt.Sprintf("'dpesim why dpe/%s/%s'", r.Environment, r.DPE)
	switch r.Task {
	case TaskInstall:
		return "nothing is undone: look at the pods and events (the task verify) or ask " + why + ", mend what is wrong, and run it again or go back (the task rollback)"
	case TaskVerify:
		return "ask " + why + " for what is wrong, mend it, and run it again"
	case TaskRollback:
		return "look at the output: there must be a revision before the last to go back to; if that one failed too, name an older one in a terminal of your own"
	case TaskUninstall:
		return "if the release was not found, it is gone already; otherwise ask " + why + ", and run it again"
	}
	return ""
}

// OutputLine is a line that a run printed.
type OutputLine struct {
	Line int64  `json:"line"` // its number, from 1
	Text string `json:"text"` // without the line break
}

// Runs lists the remembered runs of a DPE's commands, newest first, without their output.
func (c *Client) Runs(ctx context.Context, env sim.EnvironmentID, l sim.Label) ([]Run, error) {
	return get[[]Run](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "dpes", string(l), "runs")})
}

// StartRun starts a task of a DPE's commands on the simulator's own cluster. It returns Conflict while another of the same
// DPE runs.
func (c *Client) StartRun(ctx context.Context, env sim.EnvironmentID, l sim.Label, s RunSpec) (Run, error) {
	return get[Run](ctx, c, call{method: http.MethodPost, path: environmentPath(env, "dpes", string(l), "runs"), body: s})
}

// Run gives a run with its output so far.
func (c *Client) Run(ctx context.Context, env sim.EnvironmentID, l sim.Label, id string) (Run, error) {
	return get[Run](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "dpes", string(l), "runs", id)})
}

// CancelRun has a run end soon: helm and kubectl are interrupted. It does nothing to one that has ended.
func (c *Client) CancelRun(ctx context.Context, env sim.EnvironmentID, l sim.Label, id string) (Run, error) {
	return get[Run](ctx, c, call{method: http.MethodPost, path: environmentPath(env, "dpes", string(l), "runs", id, "cancel")})
}

// Events of a run's stream that are no lines.
const (
	RunEndedEvent  = "ended"  // the run has ended; its data is the [Run] without output
	RunMissedEvent = "missed" // lines were no longer kept; its data is {"missed": how many}
)

// FollowRun calls each with what a run prints after a line, 0 from the beginning, and gives the run, without output, when
// it has ended. A stream that breaks off is taken up again where it broke.
func (c *Client) FollowRun(ctx context.Context, env sim.EnvironmentID, l sim.Label, id string, after int64, each func(OutputLine) error) (Run, error) {
	for {
		from := after
		r, err := c.followRun(ctx, environmentPath(env, "dpes", string(l), "runs", id, "output"), &after, each)
		if err != nil || r.ID != "" {
			return r, err
		}
		if after == from {
			return Run{}, &sim.Error{Op: "follow run", Kind: sim.Unavailable, Msg: "the stream of the output broke off", Help: "look whether the simulator is up, and follow again"}
		}
	}
}

// followRun is one stream. It gives the zero Run if that broke off.
func (c *Client) followRun(ctx context.Context, path string, after *int64, each func(OutputLine) error) (Run, error) {
	r := call{method: http.MethodGet, path: path, accept: EventStreamType}
	if *after > 0 {
		r.lastEventID = strconv.FormatInt(*after, 10)
	}
	res, err := c.open(ctx, r)
	if err != nil {
		return Run{}, err
	}
	defer func() { _ = res.Body.Close() }()
	lines, name := bufio.NewScanner(res.Body), ""
	lines.Buffer(nil, 1<<20) // a line of output is cut far below
	for lines.Scan() {
		if s, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = s
			continue
		}
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		switch name {
		case RunEndedEvent:
			var ended Run
			err := json.Unmarshal([]byte(data), &ended)
			return ended, err
		case RunMissedEvent:
		default:
			var x OutputLine
			if err := json.Unmarshal([]byte(data), &x); err != nil {
				return Run{}, fmt.Errorf("decode a line of output: %w", err)
			}
			*after = x.Line
			if err := each(x); err != nil {
				return Run{}, err
			}
		}
		name = ""
	}
	return Run{}, ctx.Err()
}
