package api

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// addSubresources adds the endpoints that only one kind has.
func (reg *registry) addSubresources() {
	core := reg.storage[corev1.SchemeGroupVersion]
	pods, namespaces, budgets := reg.stores["pods"], reg.stores["namespaces"], reg.stores["poddisruptionbudgets"]

	pods.BeginCreate = reg.admitPods
	core["services"] = newServiceStore(reg.stores["services"], reg.options.Draw)
	core["pods/binding"] = bindingEndpoint{pods.Store, reg.stamp}
	core["pods/eviction"] = evictionEndpoint{
		pods: pods.Store, budgets: budgets, stamp: reg.stamp,
		status: reg.status[policyv1.Resource("poddisruptionbudgets")],
	}
	for path, what := range map[string]string{"exec": "execute in", "attach": "attach to", "portforward": "forward a port to"} {
		core["pods/"+path] = streamEndpoint{pods.Store, what}
	}
	if reg.options.Logs != nil {
		core["pods/log"] = logEndpoint{pods.Store, reg.options.Logs}
	}

	namespaces.ShouldDeleteDuringUpdate = gone
	core["namespaces"] = namespaceStore{namespaces, reg.stamp}
	finalize := *namespaces.Store
	s := strategy{ObjectTyper: reg.types, r: namespaces.r, draw: reg.options.Draw, stamp: reg.stamp}
	finalize.UpdateStrategy, finalize.ResetFieldsStrategy = finalizeStrategy{s}, s
	core["namespaces/finalize"] = statusEndpoint{&finalize}

	for _, r := range rbacResources() {
		reg.storage[r.kind.GroupVersion()][r.plural] = policyStore{reg.stores[r.plural], reg.authorizer}
	}
	core["serviceaccounts/token"] = tokenEndpoint{reg.stores["serviceaccounts"].Store}

	reviews, access := reviewer{reg.authorizer}, reg.storage[authorizationv1.SchemeGroupVersion]
	access["selfsubjectaccessreviews"], access["selfsubjectrulesreviews"] = reviews.self(), reviews.rules()
	access["subjectaccessreviews"], access["localsubjectaccessreviews"] = reviews.other(), reviews.local()
	reg.storage[authenticationv1.SchemeGroupVersion]["selfsubjectreviews"] = whoami()
}
