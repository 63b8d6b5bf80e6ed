"""A published model as a service: HTTP in front, processes that predict behind, and the champion followed as it runs.

app       what can be asked, and how answers look
guard     who may ask, and how much at once
measures  what Prometheus is told
champion  which model answers, and what replaces it
model     a model with its processes
worker    one of these processes
running   start and end
"""
