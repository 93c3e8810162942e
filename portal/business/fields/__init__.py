"""The one declaration of each field of a service, a question, a resource, a calendar and the business: bounds, choices, default and label.

Derived from it: what a seed file may say and its export (`portal.seed`), the forms of staff (`typed`), what the API tells and its description
(`portal.api`). A new field of a service touches its table, a migration, `service`, the part of the form where it stands, and the docs.

The kinds of fields are marshmallow's, with our sentences; so that processes without forms and files do without it, it is imported by who reads.
"""
