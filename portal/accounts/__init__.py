"""Who logs in: users with the role owner, admin or staff; sign-in; API tokens; the first owner's set-up link."""
