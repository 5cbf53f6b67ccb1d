package kind

import (
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/kind/pkg/exec"
	"sigs.k8s.io/kind/pkg/log"
)

// logger tells kind's phases.
type logger struct{ tell func(what string) }

var (
	_ log.Logger     = (*logger)(nil)
	_ log.InfoLogger = (*logger)(nil)
)

// Warn is not told: what kind warns of ends in an error, or does not matter.
func (l *logger) Warn(string) {}

// Warnf is as Warn.
func (l *logger) Warnf(string, ...any) {}

// Error is not told: kind returns it, too.
func (l *logger) Error(string) {}

// Errorf is as Error.
func (l *logger) Errorf(string, ...any) {}

// V gives what tells level 0, the phases.
func (l *logger) V(level log.Level) log.InfoLogger {
	if level > 0 {
		return log.NoopInfoLogger{}
	}
	return l
}

// Info tells a phase as it begins. kind decorates it for a terminal.
func (l *logger) Info(message string) {
	text := strings.TrimSpace(strings.Map(func(r rune) rune {
		if r > 0x7e {
			return -1
		}
		return r
	}, message))
	if text = strings.TrimSpace(strings.TrimSuffix(text, "...")); text != "" {
		l.tell(text)
	}
}

// Infof is as Info.
func (l *logger) Infof(format string, args ...any) { l.Info(fmt.Sprintf(format, args...)) }

// Enabled says that phases are told.
func (l *logger) Enabled() bool { return true }

// cause gives the words of what failed: kind's own error has only the command's exit status.
func (l *logger) cause(err error) string {
	if e, ok := errors.AsType[*exec.RunError](err); ok && len(e.Output) > 0 {
		lines := strings.Split(strings.TrimSpace(string(e.Output)), "\n")
		return lines[len(lines)-1]
	}
	return err.Error()
}
