package engine

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/dpesim/dpesim/scenarios/verb"
)

// The interpreter counts the statements that run in the background, and "$!" gives the number of the last; its kill can do
// nothing. So each gets a context of its own, that kill ends.

const (
	killWord = "scenario-kill" // what kill is turned into
	jobWord  = "scenario-job"  // notes the number of the job that was begun

	// The exit statuses of what kill ended, as a shell has them.
	interrupted = 128 + 2
	killed      = 128 + 9
)

var errInterrupted = errors.New("interrupted by kill")

// statement runs one statement. One that runs in the background is noted by its number.
func (sh *shell) statement(ctx context.Context, stmt *syntax.Stmt) error {
	if !stmt.Background {
		return sh.runner.Run(ctx, stmt)
	}
	job, end := context.WithCancelCause(ctx)
	if err := sh.runner.Run(job, stmt); err != nil {
		end(err)
		return err
	}
	sh.mu.Lock()
	sh.newest = end
	sh.mu.Unlock()
	file, err := syntax.NewParser().Parse(strings.NewReader(jobWord+` "$!"`), "")
	if err != nil {
		return err // it parses
	}
	return sh.runner.Run(ctx, file.Stmts[0])
}

// job is the word of the engine that follows each statement in the background.
func (sh *shell) job(c verb.Call) error {
	if len(c.Args) != 1 {
		return refuse(c, jobWord, "this word belongs to jobs in the background")
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.jobs[c.Args[0]] = sh.newest
	return nil
}

var jobNumber = regexp.MustCompile(`^g[0-9]+$`)

// kill is the word
//
//	kill [-INT|-TERM|-KILL|-9] JOB...
//
// A JOB is what "$!" gave. Its programs are interrupted, and have some seconds to end; by -9 and -KILL they end at once, and
// write nothing down. All else is for the program of that name.
func (sh *shell) kill(ctx context.Context, c verb.Call) error {
	list, cause := c.Args, errInterrupted
	if len(list) > 0 && strings.HasPrefix(list[0], "-") {
		switch list[0] {
		case "-9", "-KILL":
			cause = verb.ErrKilled
		case "-2", "-INT", "-15", "-TERM":
		default:
			return refuse(c, "kill", "%s is no signal that is known here: use -INT, -TERM or -KILL", list[0])
		}
		list = list[1:]
	}
	for _, number := range list {
		if !jobNumber.MatchString(number) {
			return sh.call(ctx, "kill", c)
		}
	}
	if len(list) == 0 {
		return refuse(c, "kill", "usage: kill [-INT|-TERM|-KILL] JOB, where JOB is what $! gave")
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, number := range list {
		end, ok := sh.jobs[number]
		if !ok {
			return refuse(c, "kill", "there is no job %s", number)
		}
		end(cause)
	}
	return nil
}

// ended gives the exit status of a command whose job was ended by kill.
func ended(ctx context.Context) (status interp.ExitStatus, ok bool) {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, verb.ErrKilled):
		return killed, true
	case errors.Is(cause, errInterrupted):
		return interrupted, true
	}
	return 0, false
}
