from ckanpackager.receiver import load

application = load()
