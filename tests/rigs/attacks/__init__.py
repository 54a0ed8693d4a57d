"""What an attacker tries on a provisioned site, tried for real: a broker, a service and a station as real processes."""
