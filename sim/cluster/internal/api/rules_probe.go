package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validProbes checks what a container that runs for long says about its health and its life.
func validProbes(c *corev1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if l := c.Lifecycle; l != nil {
		if l.PostStart != nil {
			errs = append(errs, validHandler(hook(*l.PostStart), at.Child("lifecycle", "postStart"))...)
		}
		if l.PreStop != nil {
			errs = append(errs, validHandler(hook(*l.PreStop), at.Child("lifecycle", "preStop"))...)
		}
	}
	for _, p := range []struct {
		name  string
		probe *corev1.Probe
	}{{"livenessProbe", c.LivenessProbe}, {"readinessProbe", c.ReadinessProbe}, {"startupProbe", c.StartupProbe}} {
		if p.probe == nil {
			continue
		}
		at := at.Child(p.name)
		errs = append(errs, validProbe(p.probe, at)...)
		switch {
		case p.name == "readinessProbe" && p.probe.TerminationGracePeriodSeconds != nil:
			errs = append(errs, field.Invalid(at.Child("terminationGracePeriodSeconds"), p.probe.TerminationGracePeriodSeconds, "must not be set for readinessProbes"))
		case p.name != "readinessProbe" && p.probe.SuccessThreshold != 1:
			errs = append(errs, field.Invalid(at.Child("successThreshold"), p.probe.SuccessThreshold, "must be 1"))
		}
	}
	return errs
}

// noProbes checks that a container that runs to its end before the others has no such things.
func noProbes(c *corev1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"lifecycle", c.Lifecycle != nil},
		{"livenessProbe", c.LivenessProbe != nil},
		{"readinessProbe", c.ReadinessProbe != nil},
		{"startupProbe", c.StartupProbe != nil},
	} {
		if f.set {
			errs = append(errs, field.Forbidden(at.Child(f.name), "may not be set for init containers without restartPolicy=Always"))
		}
	}
	return errs
}

func validProbe(p *corev1.Probe, at *field.Path) field.ErrorList {
	h := p.ProbeHandler
	errs := validHandler(actions{exec: h.Exec, http: h.HTTPGet, tcp: h.TCPSocket, grpc: h.GRPC}, at)
	for _, n := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds},
		{"timeoutSeconds", p.TimeoutSeconds},
		{"periodSeconds", p.PeriodSeconds},
		{"successThreshold", p.SuccessThreshold},
		{"failureThreshold", p.FailureThreshold},
	} {
		if n.value < 0 {
			errs = append(errs, field.Invalid(at.Child(n.name), n.value, notNegative))
		}
	}
	if g := p.TerminationGracePeriodSeconds; g != nil && *g <= 0 {
		errs = append(errs, field.Invalid(at.Child("terminationGracePeriodSeconds"), *g, "must be greater than 0"))
	}
	return errs
}

// actions are what a probe or a hook may do, of which it does one.
type actions struct {
	exec  *corev1.ExecAction
	http  *corev1.HTTPGetAction
	tcp   *corev1.TCPSocketAction
	grpc  *corev1.GRPCAction
	sleep *corev1.SleepAction
}

func hook(h corev1.LifecycleHandler) actions {
	return actions{exec: h.Exec, http: h.HTTPGet, tcp: h.TCPSocket, sleep: h.Sleep}
}

func validHandler(a actions, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	n := 0
	one := func(set bool, name string, check func(at *field.Path) field.ErrorList) {
		switch {
		case !set:
			return
		case n > 0:
			errs = append(errs, field.Forbidden(at.Child(name), "may not specify more than 1 handler type"))
		default:
			errs = append(errs, check(at.Child(name))...)
		}
		n++
	}
	one(a.exec != nil, "exec", func(at *field.Path) field.ErrorList {
		if len(a.exec.Command) == 0 {
			return field.ErrorList{field.Required(at.Child("command"), "")}
		}
		return nil
	})
	one(a.http != nil, "httpGet", func(at *field.Path) field.ErrorList { return validHTTPGet(a.http, at) })
	one(a.tcp != nil, "tcpSocket", func(at *field.Path) field.ErrorList { return portOrName(at.Child("port"), a.tcp.Port) })
	one(a.grpc != nil, "grpc", func(at *field.Path) field.ErrorList {
		return portOrName(at.Child("port"), intstr.FromInt32(a.grpc.Port))
	})
	one(a.sleep != nil, "sleep", func(at *field.Path) field.ErrorList {
		if a.sleep.Seconds < 0 {
			return field.ErrorList{field.Invalid(at, a.sleep.Seconds, "must be non-negative and less than terminationGracePeriodSeconds")}
		}
		return nil
	})
	if n == 0 {
		errs = append(errs, field.Required(at, "must specify a handler type"))
	}
	return errs
}

func validHTTPGet(g *corev1.HTTPGetAction, at *field.Path) field.ErrorList {
	errs := portOrName(at.Child("port"), g.Port)
	errs = append(errs, supported(at.Child("scheme"), g.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)...)
	for _, h := range g.HTTPHeaders {
		errs = append(errs, invalid(at.Child("httpHeaders"), h.Name, validation.IsHTTPHeaderName(h.Name))...)
	}
	return errs
}

// portOrName checks a port that is given by number or by a container port's name.
func portOrName(at *field.Path, p intstr.IntOrString) field.ErrorList {
	if p.Type == intstr.Int {
		return portNumber(at, p.IntVal)
	}
	return invalid(at, p.StrVal, validation.IsValidPortName(p.StrVal))
}

func portNumber(at *field.Path, n int32) field.ErrorList {
	return invalid(at, n, validation.IsValidPortNum(int(n)))
}
