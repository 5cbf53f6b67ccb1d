package main

import (
	"github.com/chromedp/chromedp"

	"github.com/dpesim/dpesim/portal/api"
)

// accounts adds a user, who changes the password that was set, makes him owner of an environment, resets his password and
// removes him, once he owns nothing: his tab is thrown out each time.
func (c scene) accounts() {
	c.s.Environment(c.t, api.EnvironmentSpec{Name: "Handed over"})
	ada := c.as("ada")
	ada.visit("/account")
	ada.fill("User", "nils")
	ada.do("type the name", chromedp.SetValue(chromedp.CSS("#user-name"), "Nils Newcomer")) // a token has a name, too
	ada.choose("Role", "owner")
	ada.fill("Password", "set by ada")
	ada.follow("Add user")
	ada.sees("Nils Newcomer", "environment owner")

	nils := c.open()
	enter := func(password string) {
		c.t.Helper()
		nils.visit("/sign-in")
		nils.fill("User", "nils")
		nils.fill("Password", password)
		nils.follow("Sign in")
	}
	enter("set by ada")
	nils.at("/environments")
	nils.visit("/account")
	change := func(current string) {
		c.t.Helper()
		nils.fill("Current password", current)
		nils.fill("New password", "my own words")
		nils.fill("New password again", "my own words")
		nils.follow("Change password")
	}
	change("not this one")
	nils.lacks("Your password was changed")
	change("set by ada")
	nils.sees("Your password was changed") // and this session goes on

	nils.visit("/environments/handed-over/settings")
	nils.lacks("Add DPE", "Change owner")
	ada.visit("/environments/handed-over/settings")
	ada.choose("New owner", "nils")
	ada.follow("Change owner")
	ada.sees("Nils Newcomer owns this environment")
	nils.visit("/environments/handed-over/settings")
	nils.sees("Add DPE")
	nils.lacks("Change owner") // that is for admins

	ada.visit("/account")
	ada.click("Reset password of Nils Newcomer")
	ada.fill("New password for Nils Newcomer", "set once more")
	ada.follow("Reset password")
	ada.sees("The password was reset")
	nils.visit("/environments")
	nils.at("/sign-in")
	enter("my own words")
	nils.sees("user and password do not fit")
	enter("set once more")
	nils.at("/environments")

	remove := func() {
		c.t.Helper()
		ada.visit("/account")
		ada.click("Remove Nils Newcomer")
		ada.follow("Remove nils")
	}
	remove()
	ada.sees("Give the environments another owner, or delete them, first")
	ada.visit("/environments/handed-over/settings")
	ada.choose("New owner", "ada")
	ada.follow("Change owner")
	remove()
	ada.loses("Nils Newcomer")
	nils.visit("/environments")
	nils.at("/sign-in")
}
