"""What people look at: Grafana's dashboards, Prometheus's rules, and the reference pages made from the code."""
