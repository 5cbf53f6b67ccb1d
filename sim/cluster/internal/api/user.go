package api

import (
	"crypto/rand"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
)

// The people who have a context in the kubeconfig. Their tokens are kept with the identity.
const (
	Operator = "operator" // may do everything
	Viewer   = "viewer"   // may get, list and watch everything but secrets
)

// The parts of the cluster itself. Their tokens hold for one run.
const (
	ControllerManager = "system:kube-controller-manager"
	NodeAgent         = "system:node:dpesim" // one agent runs all nodes
)

// The groups of people, which are bound to roles (see bootstrap.go).
const (
	operators = "dpesim:operators"
	viewers   = "dpesim:viewers"
)

// users are those who have a token.
type users struct {
	byName map[string]account
}

type account struct {
	token sim.Secret
	info  user.Info
}

// newUsers gives everybody who may come: people with the tokens that they have, the cluster's parts with new ones.
func newUsers(people map[string]sim.Secret) *users {
	u := &users{byName: map[string]account{}}
	add := func(name string, token sim.Secret, groups ...string) {
		u.byName[name] = account{token, &user.DefaultInfo{Name: name, Groups: append(groups, user.AllAuthenticated)}}
	}
	add(Operator, people[Operator], operators)
	add(Viewer, people[Viewer], viewers)
	add(ControllerManager, newToken(), user.SystemPrivilegedGroup)
	add(NodeAgent, newToken(), user.NodesGroup, user.SystemPrivilegedGroup)
	return u
}

func newToken() sim.Secret { return sim.Secret(rand.Text()) }

// find gives who shows a token. It compares with every token, so that time tells nothing.
func (u *users) find(token sim.Secret) (found user.Info, ok bool) {
	for _, a := range u.byName {
		if a.token.Equal(token) {
			found, ok = a.info, true
		}
	}
	return found, ok
}

// anonymous is who shows no token.
func anonymous() user.Info {
	return &user.DefaultInfo{Name: user.Anonymous, Groups: []string{user.AllUnauthenticated}}
}

// RESTConfig gives what a client in this process needs to come as a user, one of [Operator], [Viewer],
// [ControllerManager] and [NodeAgent]; any other is nobody. It does not limit its own rate.
func (s *Server) RESTConfig(name string) *rest.Config {
	return &rest.Config{
		Host: s.URL(), BearerToken: s.users.byName[name].token.Reveal(), QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: slices.Clone(s.identity.caPEM)},
	}
}

// Kubeconfig gives what helm and kubectl need, as a file's content: the contexts "dpesim" of [Operator], which is the
// current one, and "dpesim-viewer" of [Viewer]. It holds their tokens: write it with mode 0600.
//
// What the operator does with it is told as caused by the event with Seq cause, unless that is 0. It comes as a detail of
// impersonation, of the operator by the operator: that is the one thing that a kubeconfig can have helm and kubectl say of
// themselves.
func (s *Server) Kubeconfig(cause uint64) []byte {
	const name = "dpesim"
	c := clientcmdapi.NewConfig()
	c.Clusters[name] = &clientcmdapi.Cluster{Server: s.URL(), CertificateAuthorityData: s.identity.caPEM}
	for at, who := range map[string]string{name: Operator, name + "-viewer": Viewer} {
		c.AuthInfos[who] = &clientcmdapi.AuthInfo{Token: s.users.byName[who].token.Reveal()}
		if cause != 0 && who == Operator {
			a := c.AuthInfos[who]
			a.Impersonate, a.ImpersonateGroups = Operator, []string{operators}
			a.ImpersonateUserExtra = map[string][]string{event.CauseHeader: {strconv.FormatUint(cause, 10)}}
		}
		c.Contexts[at] = &clientcmdapi.Context{Cluster: name, AuthInfo: who, Namespace: corev1.NamespaceDefault}
	}
	c.CurrentContext = name
	out, err := clientcmd.Write(*c)
	if err != nil {
		s.log.Error("kubeconfig not written", "err", err)
	}
	return out
}
