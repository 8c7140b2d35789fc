"""Where results go unless the user says otherwise."""

RUN = "runs/default"
