"""A directory in LDAP: Active Directory (Samba's or Microsoft's) or OpenLDAP."""
